//go:build unix

package convert

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPipes: a pipe where a file was expected is an error, not a wait for its other end.
func TestPipes(t *testing.T) {
	pipe := func(path string) {
		_ = os.Remove(path)
		if err := syscall.Mkfifo(path, 0o644); err != nil {
			t.Skip(err)
		}
	}
	refused := func(src, name string) {
		t.Helper()
		done := make(chan error, 1)
		go func() {
			_, err := Convert(context.Background(), src, filepath.Join(t.TempDir(), "m.ei8"), Options{})
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "regular file") && !strings.Contains(err.Error(), "is neither a file nor a folder") {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%s: still waiting", name)
		}
	}
	for _, name := range []string{"x.pt", "x.onnx", "x.csv", "x.npy", "x.svm", "x.fvecs", "x.pkl", "x.safetensors", "x.argosmodel", "x", "model.bin"} {
		path := filepath.Join(t.TempDir(), name)
		pipe(path)
		refused(path, name)
	}
	for from, names := range map[string][]string{
		marianFolder:   {"config.json", "generation_config.json", "tokenizer_config.json", "vocab.json", "source.spm", "model.safetensors"},
		ct2Folder:      {"model.bin", "shared_vocabulary.json", "config.json", "source.spm"},
		sharedBergamot: {"model.enes.intgemm.alphas.bin.gz", "vocab.enes.spm", "lex.50.50.enes.s2t.bin.gz"},
	} {
		for _, name := range names {
			folder := filepath.Join(t.TempDir(), "model")
			copyFolder(t, from, folder)
			pipe(filepath.Join(folder, name))
			refused(folder, name)
		}
	}
}
