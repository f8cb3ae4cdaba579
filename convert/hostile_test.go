package convert

import (
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// shortWord numbers words of a few letters.
func shortWord(i int) string {
	var b []byte
	for ; i > 0 || len(b) == 0; i /= 64 {
		b = append(b, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"[i%64])
	}
	return string(b)
}

// pieces is a SentencePiece model of the smallest pieces, size bytes long.
func pieces(size int, piece func(i int) string) []byte {
	field := func(number byte, text string) string {
		return string(binary.AppendUvarint([]byte{number<<3 | 2}, uint64(len(text)))) + text
	}
	raw := []byte(field(2, "\x18\x01") + field(1, field(1, "<unk>")+"\x18\x02"))
	for i := 0; len(raw) < size; i++ {
		raw = append(raw, field(1, field(1, piece(i)))...)
	}
	return raw
}

// TestHostileArgos: packages whose files unfold as far as any may stay within the bound that fuzzing holds small files to.
func TestHostileArgos(t *testing.T) {
	list := func(size int, entry func(i int) string) string {
		var b strings.Builder
		b.WriteString("[")
		for i := 0; b.Len() < size; i++ {
			b.WriteString(entry(i))
		}
		return b.String() + `"end"]`
	}
	const free = 1<<20 - 100 // what any member may unfold to
	var own [3]string
	for i, name := range []string{"model.bin", "shared_vocabulary.json", "source.spm"} {
		raw, err := os.ReadFile(filepath.Join(ct2Folder, name))
		if err != nil {
			t.Fatal(err)
		}
		own[i] = string(raw)
	}
	for name, c := range map[string]struct{ vocabulary, spm, codes string }{
		"tokens":       {vocabulary: list(free, func(i int) string { return fmt.Sprintf("%q,", shortWord(i)) })},
		"equal tokens": {vocabulary: list(free, func(int) string { return `"",` })},
		"pieces":       {spm: string(pieces(free, shortWord))},
		"equal pieces": {spm: string(pieces(free, func(int) string { return "a" }))},
		"codes":        {codes: "#version: 0.2\n" + strings.Repeat("a b\n", free/4)},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"p/metadata.json": argosJSON, "p/model/config.json": "{}", "p/model/model.bin": own[0],
				"p/model/shared_vocabulary.json": cmp.Or(c.vocabulary, own[1]), "p/sentencepiece.model": c.spm, "p/bpe.model": c.codes}
			if c.spm == "" && c.codes == "" {
				files["p/sentencepiece.model"] = own[2]
			}
			path, size := filepath.Join(t.TempDir(), "p.argosmodel"), 0
			var b bytes.Buffer
			w := zip.NewWriter(&b)
			for name, content := range files {
				if content == "" {
					continue
				}
				f, err := w.Create(name)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := f.Write([]byte(content)); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			size = b.Len()
			writeFile(t, path, b.String())
			fuzztest.Bounded(t, size, func() {
				s, err := openSource(path, t.TempDir(), BergamotOptions{})
				if err == nil {
					s.close()
				}
				t.Log(size, err)
			})
		})
	}
}

// TestHostileBergamot: so do the packed vocabularies of Firefox models, which are refused where they unfold further.
func TestHostileBergamot(t *testing.T) {
	var z bytes.Buffer
	for name, spm := range map[string][]byte{
		"pieces":       pieces(1<<19-10, shortWord), // as much as any file may unfold to
		"equal pieces": pieces(1<<19-10, func(int) string { return "a" }),
		"many pieces":  pieces(8<<20, shortWord),
		"zeros":        make([]byte, 60<<20),
	} {
		for _, method := range []string{"gz", "zst"} {
			t.Run(name+" "+method, func(t *testing.T) {
				z.Reset()
				if method == "gz" {
					w := gzip.NewWriter(&z)
					_, _ = w.Write(spm)
					_ = w.Close()
				} else {
					w, _ := zstd.NewWriter(&z)
					_, _ = w.Write(spm)
					_ = w.Close()
				}
				folder := t.TempDir()
				copyFolder(t, sharedBergamot, folder)
				size := z.Len()
				entries, _ := os.ReadDir(folder)
				for _, e := range entries {
					if strings.HasSuffix(e.Name(), ".spm") || strings.Contains(e.Name(), ".spm.") {
						_ = os.Remove(filepath.Join(folder, e.Name()))
					} else if info, err := e.Info(); err == nil {
						size += int(info.Size())
					}
				}
				writeFile(t, filepath.Join(folder, "vocab.enes.spm."+method), z.String())
				fuzztest.Bounded(t, size, func() {
					s, err := openSource(folder, t.TempDir(), BergamotOptions{})
					if err == nil {
						s.close()
					}
					t.Log(size, err)
				})
			})
		}
	}
}
