package text

import (
	"bufio"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// golden is what SentencePiece 0.2.3 says of one text, or of one list of ids. testdata/make_golden.py writes them: four
// columns with tabs between: the text as JSON, as x and hex where it is not UTF-8, or - ; ids; pieces; decoded ids.
type golden struct {
	input   string
	encodes bool // false: only ids and text, that no input gave
	ids     []int32
	pieces  []string
	text    string
}

func parseGolden(t testing.TB, line string) golden {
	t.Helper()
	columns := strings.Split(line, "\t")
	if len(columns) != 4 {
		t.Fatalf("golden line has %d columns: %.80q", len(columns), line)
	}
	var g golden
	var err error
	switch columns[0][0] {
	case '-':
	case 'x':
		var b []byte
		b, err = hex.DecodeString(columns[0][1:])
		g.input, g.encodes = string(b), true
	default:
		err = json.Unmarshal([]byte(columns[0]), &g.input)
		g.encodes = true
	}
	if err != nil {
		t.Fatalf("golden line %.80q: %v", line, err)
	}
	for _, field := range strings.Fields(columns[1]) {
		id, err := strconv.ParseInt(field, 10, 32)
		if err != nil {
			t.Fatalf("golden line %.80q: %v", line, err)
		}
		g.ids = append(g.ids, int32(id))
	}
	if err := json.Unmarshal([]byte(columns[2]), &g.pieces); err != nil {
		t.Fatalf("golden line %.80q: %v", line, err)
	}
	if err := json.Unmarshal([]byte(columns[3]), &g.text); err != nil {
		t.Fatalf("golden line %.80q: %v", line, err)
	}
	return g
}

// compareGoldens checks every line of the .golden files in dir against the models beside them.
func compareGoldens(t *testing.T, dir string) (models, lines int) {
	files, err := filepath.Glob(filepath.Join(dir, "*.golden"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			tok := openSPM(t, strings.TrimSuffix(file, ".golden")+".model")
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			models++
			r := bufio.NewReaderSize(f, 1<<20)
			var sc Scratch
			wrong := 0
			for n := 1; wrong < 10; n++ {
				line, err := r.ReadString('\n')
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				g := parseGolden(t, strings.TrimSuffix(line, "\n"))
				lines++
				if g.encodes {
					if ids := tok.Encode(nil, g.input, &sc); !equal(ids, g.ids) {
						t.Errorf("line %d: Encode(%.200q)\n got %.400v\nwant %.400v", n, g.input, ids, g.ids)
						wrong++
					}
					if pieces := tok.EncodePieces(g.input, &sc); !equal(pieces, g.pieces) {
						t.Errorf("line %d: EncodePieces(%.200q)\n got %.400q\nwant %.400q", n, g.input, pieces, g.pieces)
						wrong++
					}
				}
				if text := string(tok.Decode([]byte("before "), g.ids)[len("before "):]); text != g.text {
					t.Errorf("line %d: Decode(%.400v)\n got %.400q\nwant %.400q", n, g.ids, text, g.text)
					wrong++
				}
			}
		})
	}
	return models, lines
}

func equal[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// readSPM reads a .model file, or the .model.gz in its place.
func readSPM(t testing.TB, path string) []byte {
	t.Helper()
	spm, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		var f *os.File
		if f, err = os.Open(path + ".gz"); err == nil {
			defer f.Close()
			var z *gzip.Reader
			if z, err = gzip.NewReader(f); err == nil {
				spm, err = io.ReadAll(z)
			}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return spm
}

// openSPM builds and opens a .model file with its own ids.
func openSPM(t testing.TB, path string) *Tokenizer {
	t.Helper()
	image, err := Build(readSPM(t, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Open(image)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// TestGoldens compares with the C++ library: pieces, ids and decoded text.
func TestGoldens(t *testing.T) {
	models, lines := compareGoldens(t, "testdata")
	if models < 12 || lines < 1000 {
		t.Errorf("only %d models and %d lines found", models, lines)
	}
}

// TestBigModels compares with the C++ library over models and texts that are too big for the repository.
func TestBigModels(t *testing.T) {
	dir := os.Getenv("EDGE_INFER_SPM_DIR")
	if dir == "" {
		t.Log("EDGE_INFER_SPM_DIR is not set: not compared with big models (testdata/make_golden.py makes such a folder)")
		return
	}
	models, lines := compareGoldens(t, dir)
	if models == 0 {
		t.Fatalf("EDGE_INFER_SPM_DIR: no .golden files in %s", dir)
	}
	t.Logf("%d models, %d lines compared", models, lines)
}
