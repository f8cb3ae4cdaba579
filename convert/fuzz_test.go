package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/fuzztest"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// readAll opens a folder as Convert does, up to the weights, and tries out the tokenizers it makes. An error has one line.
func readAll(t *testing.T, folder string) {
	s, err := openSource(folder, "", BergamotOptions{})
	if err == nil {
		defer s.close()
		_, err = s.meta(Options{})
	}
	if err != nil {
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("more than one line: %v", err)
		}
		return
	}
	for _, image := range [][]byte{s.sourceTokenizer, s.targetTokenizer} {
		if image == nil {
			continue
		}
		tok, err := text.Open(image)
		if err != nil {
			t.Error(err)
			continue
		}
		_ = tok.Decode(nil, tok.Encode(nil, "ab 你好 <unk> </s>", &text.Scratch{}))
	}
}

// fuzzFolder copies a model's folder, and returns the bytes of all of its files but those that are named, and those.
func fuzzFolder(f *testing.F, from string, names ...string) (folder string, size int, contents [][]byte) {
	folder = f.TempDir()
	if err := os.CopyFS(folder, os.DirFS(from)); err != nil {
		f.Fatal(err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			f.Fatal(err)
		}
		size += int(info.Size())
	}
	for _, name := range names {
		raw, err := os.ReadFile(filepath.Join(folder, name))
		if os.IsNotExist(err) {
			raw = []byte("{}")
		} else if err != nil {
			f.Fatal(err)
		}
		contents = append(contents, raw)
		size -= len(raw)
	}
	return folder, size, contents
}

// fuzzFiles writes files over those of the folder and reads it.
func fuzzFiles(t *testing.T, folder string, size int, names []string, contents ...[]byte) {
	for i, raw := range contents {
		if err := os.WriteFile(filepath.Join(folder, names[i]), raw, 0o666); err != nil {
			t.Fatal(err)
		}
		size += len(raw)
	}
	fuzztest.Bounded(t, size, func() { readAll(t, folder) })
}

// FuzzMarian opens a Hugging Face folder with any JSON: what the model is, how it generates, its tokens, its index of shards.
func FuzzMarian(f *testing.F) {
	names := []string{"config.json", "generation_config.json", "tokenizer_config.json", "vocab.json", "model.safetensors.index.json"}
	folder, size, c := fuzzFolder(f, "testdata/marian-shards", names...)
	f.Add(c[0], c[1], c[2], c[3], c[4])
	f.Add(c[0], []byte(`{"num_beams": 4, "length_penalty": 1.5, "bad_words_ids": [[49], [1, 2]], "eos_token_id": [0, 3], "max_length": 512}`), []byte(`{}`), c[3], c[4])
	f.Fuzz(func(t *testing.T, config, generation, tokenizer, vocab, index []byte) {
		fuzzFiles(t, folder, size, names, config, generation, tokenizer, vocab, index)
	})
}

// FuzzVocabulary gives a Hugging Face folder any vocab.json and SentencePiece model.
func FuzzVocabulary(f *testing.F) {
	names := []string{"vocab.json", "source.spm"}
	folder, size, c := fuzzFolder(f, marianFolder, names...)
	f.Add(c[0], c[1])
	f.Fuzz(func(t *testing.T, vocab, spm []byte) {
		fuzzFiles(t, folder, size, names, vocab, spm)
	})
}

// FuzzArgos gives a package of Argos Translate any metadata, and the CTranslate2 model in it any configuration and vocabulary.
func FuzzArgos(f *testing.F) {
	names := []string{"metadata.json", "model/config.json", "model/shared_vocabulary.json"}
	folder := filepath.Join(f.TempDir(), "package")
	if err := os.CopyFS(filepath.Join(folder, "model"), os.DirFS(ct2Folder)); err != nil {
		f.Fatal(err)
	}
	if err := os.Rename(filepath.Join(folder, "model", "source.spm"), filepath.Join(folder, "sentencepiece.model")); err != nil {
		f.Fatal(err)
	}
	size := 0
	var c [][]byte
	if err := os.WriteFile(filepath.Join(folder, names[0]), []byte(argosJSON), 0o666); err != nil {
		f.Fatal(err)
	}
	for _, name := range append([]string{"model/model.bin", "sentencepiece.model"}, names...) {
		raw, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			f.Fatal(err)
		}
		c = append(c, raw)
	}
	size = len(c[0]) + len(c[1])
	f.Add(c[2], c[3], c[4])
	f.Fuzz(func(t *testing.T, metadata, config, vocabulary []byte) {
		fuzzFiles(t, folder, size, names, metadata, config, vocabulary)
	})
}
