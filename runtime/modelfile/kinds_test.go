package modelfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"
)

// People pass wrong files; they are told what it was that they passed.
func TestWrongFilesAreNamed(t *testing.T) {
	dir := t.TempDir()
	tar := make([]byte, 1024)
	copy(tar[257:], "ustar\x0000")
	for _, c := range []struct {
		name, content, want string
	}{
		{"empty.ei8", "", "the file is empty"},
		{"a.png", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "this is a PNG image, not an .ei8 model"},
		{"a.jpg", "\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG image"},
		{"m.safetensors", "\x40\x00\x00\x00\x00\x00\x00\x00{\"__metadata__\":{}}", "a safetensors file, not an .ei8 model: make one with edge-infer convert"},
		{"m.pt", "PK\x03\x04\x00\x00\x08\x08", "a ZIP archive (PyTorch checkpoints are such archives), not an .ei8 model: make one"},
		{"m.joblib", "\x80\x04\x95\x10", "a Python pickle"},
		{"m.gguf", "GGUF\x03\x00\x00\x00", "a GGUF model"},
		{"m.h5", "\x89HDF\r\n\x1a\n", "an HDF5 file"},
		{"m.npy", "\x93NUMPY\x01\x00", "a NumPy array"},
		{"m.tflite", "\x1c\x00\x00\x00TFL3", "a TensorFlow Lite model"},
		{"model.bin", "\x06\x00\x00\x00\x10\x00TransformerSpec\x00", "a CTranslate2 model"},
		{"source.spm", "\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02", "a SentencePiece model"},
		{"m.tar.gz", "\x1f\x8b\x08\x00", "a gzip file, not an .ei8 model: unpack it first"},
		{"m.tar", string(tar), "a tar archive"},
		{"edge-infer", "\x7fELF\x02\x01\x01", "a program"},
		{"pointer.ei8", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"},
		{"page.ei8", "<!DOCTYPE html><html>", "a web page"},
		{"config.json", "{\n  \"model_type\": \"marian\"\n}\n", "a JSON file"},
		{"text.txt", "我正在吃饭。\n", "a text file"},
		{"long.txt", strings.Repeat("我正在吃饭", 200), "a text file"},
		{"zeros.ei8", strings.Repeat("\x00", 5000), "full of zeros"},
		{"crlf.ei8", "\x89EI8\n\x1a\n\x01\x00\x00", "a transfer in text mode"},
		{"start.ei8", "\x89EI8\r", "the file was cut off after 5 bytes"},
		{"noise", "\x01\x02\x03\x04\x05\xff\xfe\x00", "this is not an .ei8 model"},
	} {
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		if !isFormatError(err) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%s: %v", c.name, err)
		}
		_, err = openBytes(aligned([]byte(c.content)))
		if !isFormatError(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s embedded: %v", c.name, err)
		}
	}
	if _, err := Open(dir); !isFormatError(err) || !strings.Contains(err.Error(), "this is a folder") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Open(os.DevNull); !isFormatError(err) || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a device: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "nothing.ei8")); !os.IsNotExist(err) || isFormatError(err) {
		t.Errorf("no file: %v", err)
	}
}

// Embedded models are used in place, so one at an odd address is refused rather than copied behind the user's back.
func TestOpenStringAlignment(t *testing.T) {
	b := model64K(t)
	for shift := range 16 {
		moved := append(aligned(make([]byte, shift)), b...)[shift:]
		_, err := OpenString("embedded", unsafe.String(unsafe.SliceData(moved), len(moved)))
		if aligned := address(moved)%8 == 0; aligned != (err == nil) {
			t.Errorf("at %d modulo 16: %v", address(moved)%16, err)
		} else if err != nil && !strings.Contains(err.Error(), "multiple of 8") {
			t.Error(err)
		}
	}
}
