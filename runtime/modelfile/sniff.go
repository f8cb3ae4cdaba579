package modelfile

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// sniffLen is how much of a file is looked at to say what it is: as far as tar's mark.
const sniffLen = 512

// kinds of files that people give to a program that wants a model, by how they start.
var kinds = []struct {
	at    int
	start string
	what  string
}{
	{0, "\x89PNG", "a PNG image"},
	{0, "\xff\xd8\xff", "a JPEG image"},
	{0, "GIF8", "a GIF image"},
	{0, "%PDF", "a PDF document"},
	{0, "GGUF", "a GGUF model"},
	{4, "TFL3", "a TensorFlow Lite model"},
	{0, "\x89HDF", "an HDF5 file (Keras models are such files)"},
	{0, "\x93NUMPY", "a NumPy array"},
	{0, "PK\x03\x04", "a ZIP archive (PyTorch checkpoints are such archives)"},
	{0, "PK\x05\x06", "an empty ZIP archive"},
	{0, "\x1f\x8b", "a gzip file: unpack it first"},
	{0, "\xfd7zXZ", "an xz file: unpack it first"},
	{0, "\x28\xb5\x2f\xfd", "a Zstandard file: unpack it first"},
	{0, "BZh", "a bzip2 file: unpack it first"},
	{0, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it first"},
	{257, "ustar", "a tar archive: unpack it first"},
	{0, "\x7fELF", "a program"},
	{0, "MZ", "a Windows program"},
	{0, "\xcf\xfa\xed\xfe", "a macOS program"},
	{0, "SQLite format 3", "an SQLite database"},
	{0, "RIFF", "a WAV, AVI or WebP file"},
	{0, "version https://git-lfs", "a Git LFS pointer: the model itself was not downloaded (git lfs pull)"},
	{0, "\x80\x02", "a Python pickle (PyTorch, joblib and scikit-learn write them)"},
	{0, "\x80\x03", "a Python pickle (PyTorch, joblib and scikit-learn write them)"},
	{0, "\x80\x04", "a Python pickle (PyTorch, joblib and scikit-learn write them)"},
	{0, "\x80\x05", "a Python pickle (PyTorch, joblib and scikit-learn write them)"},
	{8, `{"`, "a safetensors file"},
	{0, "\x0a\x0e\x0a\x05<unk>", "a SentencePiece model: a tokenizer, without the network"},
	{6, "TransformerSpec", "a CTranslate2 model"},
	{0, "<!DOCTYPE", "a web page: the download did not give the model"},
	{0, "<html", "a web page: the download did not give the model"},
}

// sniff says in words what a file is that starts with head and is not an .ei8 file, "" when it is one.
func sniff(head []byte) string {
	if n := min(len(head), len(magic)); string(head[:n]) == magic[:n] {
		return "" // whatever follows, the check says it better
	}
	if bytes.HasPrefix(head, []byte(magic[:4])) {
		return "its first bytes were changed on the way, as a transfer in text mode does: copy it again as a binary file"
	}
	what := ""
	for _, k := range kinds {
		if len(head) > k.at && bytes.HasPrefix(head[k.at:], []byte(k.start)) {
			what = k.what
			break
		}
	}
	if what == "" {
		switch {
		case len(bytes.Trim(head, "\x00")) == 0:
			what = "full of zeros, as after a copy that was broken off"
		case bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{")) && isText(head):
			what = "a JSON file"
		case isText(head):
			what = "a text file"
		default:
			return "this is not an .ei8 model: make one with edge-infer convert"
		}
	}
	what, advice, _ := strings.Cut(what, ": ")
	reason := fmt.Sprintf("this is %s, not an .ei8 model", what)
	if advice != "" {
		reason += ": " + advice
	} else if strings.Contains(what, "PyTorch") || strings.Contains(what, "safetensors") || strings.Contains(what, "CTranslate2") {
		reason += ": make one with edge-infer convert"
	}
	return reason
}

// isText reports whether head is UTF-8 without control characters. Its last character may be cut.
func isText(head []byte) bool {
	for i := 0; i < len(head); {
		r, n := utf8.DecodeRune(head[i:])
		if r == utf8.RuneError && n <= 1 {
			return len(head) == sniffLen && !utf8.FullRune(head[i:])
		}
		if r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' {
			return false
		}
		i += n
	}
	return true
}
