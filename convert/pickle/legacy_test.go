package pickle

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/checkpoint/checkpointtest"
)

// The pieces of a legacy file of {"w": tensor}, as torch writes them.
const (
	legacyHead    = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." + "\x80\x02M\xe9\x03." + "\x80\x02}."
	legacyStorage = "(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06NtQ"
	legacyTensor  = "K\x00K\x02K\x03\x86K\x03K\x01\x86" + rest
	legacyKeys    = "\x80\x02]X\x01\x00\x00\x000a."
)

// legacyData is a storage of n ones.
func legacyData(n int) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(n))) + strings.Repeat("\x00\x00\x80\x3f", n)
}

func TestLegacyMalformed(t *testing.T) {
	object := tensor(legacyStorage + legacyTensor)
	good := legacyHead + object + legacyKeys + legacyData(6)
	if _, err := torchBytes([]byte(good)); err != nil {
		t.Fatal(err)
	}
	change := func(old, new string) string {
		if strings.Count(good, old) < 1 {
			t.Fatalf("no %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	// The views of PyTorch 0.3 and before: elements 1 to 6 of the storage under another name.
	view := func(view string) string { return change("NtQK\x00K\x02K\x03\x86", view+"tQK\x00K\x01K\x05\x86") }
	if c, err := torchBytes([]byte(view("X\x01\x00\x00\x001K\x01K\x05\x87"))); err != nil {
		t.Error(err)
	} else if x, _ := c.Lookup("w"); x.Cols() != 5 || x.Offset != int64(len(view("X\x01\x00\x00\x001K\x01K\x05\x87"))-20) {
		t.Error("the view is", x)
	}
	for _, c := range []struct{ name, data, want string }{
		{"cut in the version", good[:len(legacyHead)-6], "f: byte 17: the file is damaged: byte 2 of the pickle: the pickle ends early, at byte 4"},
		{"another number", change("\x8a\x0a\x6c", "\x8a\x0b\x6c"), "f: byte 0: it does not start with the number that every file of PyTorch before 1.6 starts with"},
		{"the number in a list", "\x80\x02]" + good[2:16] + "a." + good[17:], "f: byte 16: the file is damaged: byte 0 of the pickle: it is of protocol 97, newer than the 5 that this version reads"},
		{"another version", change("M\xe9\x03", "M\xea\x03"), "f: byte 15: its version is 1002 where 1001 was expected; re-save it where PyTorch is: python -c \"import torch; torch.save(torch.load('IN', map_location='cpu', weights_only=True), 'OUT')\""},
		{"a version in words", change("M\xe9\x03", "U\x011"), "f: byte 15: its version is a str where 1001 was expected; re-save it where PyTorch is: python -c \"import torch; torch.save(torch.load('IN', map_location='cpu', weights_only=True), 'OUT')\""},
		{"properties cut", good[:len(legacyHead)-1], "f: byte 24: the file is damaged: byte 3 of the pickle: the pickle ends early, at byte 3"},
		{"properties that call", change("}.", "cos\nsystem\n."), "f: byte 23: the file: byte 2: the pickle asks to run os.system: refused; nothing was run; do not load it in Python; get the model as .safetensors, or from someone you trust"},
		{"large properties", change("}.", "}"+strings.Repeat("]0", 1<<11)+"."), "f: byte 2068: the file is damaged: byte 2047 of the pickle: it unfolds to far more memory than its length allows"},
		{"no object", good[:len(legacyHead)], "f: byte 25: the file is damaged: byte 0 of the pickle: the pickle ends early, at byte 0"},
		{"object cut", good[:len(legacyHead)+40], "f: byte 34: the file is damaged: byte 9 of the pickle: the pickle ends early, at byte 40"},
		{"object is a number", legacyHead + "K\x01." + "].", "f: byte 25: it holds an int where a dictionary of tensors was expected; save model.state_dict() instead: torch.save(model.state_dict(), 'OUT')"},
		{"empty object", legacyHead + "}." + "].", "f: byte 25: it has no tensors by name; its keys are none; save model.state_dict() instead"},
		{"whole module", legacyHead + "(X\x06\x00\x00\x00modulecnet\nNet\nX\x01\x00\x00\x00fX\x01\x00\x00\x00stQ)\x81}b." + "].", "f: byte 25: it holds a whole Python object, a net.Net, which only its own program can load; save model.state_dict() instead: torch.save(model.state_dict(), 'OUT')"},
		{"module of nothing", legacyHead + "(X\x06\x00\x00\x00moduleNNNtQ)\x81.", "f: byte 43: the file is damaged: byte 18 of the pickle: it makes an object of None, which is not a class"},
		{"id of the zip form", change("K\x06NtQ", "K\x06tQ"), "f: byte 25: the id of its storage is not (\"storage\", type, key, location, size, view)"},
		{"id is a number", legacyHead + "K\x01Q.", "f: byte 25: the id of its storage is not (\"storage\", type, key, location, size, view)"},
		{"id is a text", legacyHead + "Pabc\n.", "f: byte 25: the id of its storage is not (\"storage\", type, key, location, size, view)"},
		{"id of something else", change("storage", "storing"), "f: byte 25: the id of its storage is not (\"storage\", type, key, location, size, view)"},
		{"storage type", change("FloatStorage", "OddStorage"), "f: byte 25: its storage is a torch.OddStorage, which is not known"},
		{"storage type is a text", change("ctorch\nFloatStorage\n", "U\x01f"), "f: byte 25: the id of its storage is not (\"storage\", type, key, location, size, view)"},
		{"key is a number", change("X\x01\x00\x00\x000X", "K\x01X"), "f: byte 25: the id of its storage is not (\"storage\", type, key, location, size, view)"},
		{"negative size", change("K\x06N", "J\xff\xff\xff\xffN"), "f: byte 25: the id of its storage is not (\"storage\", type, key, location, size, view)"},
		{"view is a number", view("K\x01"), "f: tensor \"w\": byte 25: the view of its storage is not (key, first element, elements)"},
		{"view of two", view("K\x01K\x01\x86"), "f: tensor \"w\": byte 25: the view of its storage is not (key, first element, elements)"},
		{"view beyond", view("U\x011K\x02K\x05\x87"), "f: tensor \"w\": byte 25: the view of its storage reaches beyond its 6 elements"},
		{"view before", view("U\x011J\xff\xff\xff\xffK\x05\x87"), "f: tensor \"w\": byte 25: the view of its storage reaches beyond its 6 elements"},
		{"view of -1", view("U\x011K\x01J\xff\xff\xff\xff\x87"), "f: tensor \"w\": byte 25: the view of its storage reaches beyond its 6 elements"},
		{"view too short", view("U\x011K\x01K\x04\x87"), "f: tensor \"w\": byte 194: shape [1 5] of f32 needs 20 bytes but only 16 are there"},
		{"no keys", legacyHead + object, "f: byte 164: the file is damaged: byte 0 of the pickle: the pickle ends early, at byte 0"},
		{"keys are a dict", legacyHead + object + "}.", "f: byte 164: a dict where the list of its storages was expected"},
		{"key of None", legacyHead + object + "]Na.", "f: byte 164: the key of a storage is None"},
		{"key that nobody uses", change("X\x01\x00\x00\x000a.", "X\x01\x00\x00\x001a."), "f: byte 164: it lists storage \"1\", which no tensor uses"},
		{"key twice", change("X\x01\x00\x00\x000a.", "X\x01\x00\x00\x000aX\x01\x00\x00\x000a.") + legacyData(6), "f: byte 164: it lists storage \"0\" twice"},
		{"key not listed", legacyHead + object + "].", "f: tensor \"w\": byte 25: its data, storage \"0\", is not in the file"},
		{"no storage", good[:len(good)-32], "f: byte 175: the file ends before storage \"0\"; download it again"},
		{"storage cut", good[:len(good)-1], "f: byte 175: storage \"0\" claims 6 elements of 4 bytes where 23 bytes are left; download it again"},
		{"storage of 2^64-1", good[:len(good)-32] + strings.Repeat("\xff", 8) + good[len(good)-24:], "f: byte 175: storage \"0\" claims 18446744073709551615 elements of 4 bytes where 24 bytes are left; download it again"},
		{"storage of 5", good[:len(good)-32] + legacyData(5), "f: tensor \"w\": byte 25: its storage has 6 elements of 4 bytes, but storage \"0\" has 20 bytes"},
		{"storage of 7", good[:len(good)-32] + legacyData(7) + "x", "f: byte 211: 1 bytes follow the last storage"},
		{"bytes behind", good + "x", "f: byte 207: 1 bytes follow the last storage"},
		{"two files in one", good + good, "f: byte 207: 207 bytes follow the last storage"},
		{"tensor too large", change("K\x02K\x03\x86", "K\x03K\x03\x86"), "f: tensor \"w\": byte 183: shape [3 3] of f32 needs 36 bytes but only 24 are there"},
		{"tensor starts late", change("K\x00K\x02", "K\x07K\x02"), "f: tensor \"w\": byte 25: it starts at element 7 of a storage of 6"},
		{"calls", change("ctorch._utils\n_rebuild_tensor_v2", "cbuiltins\nexec"), "f: byte 34: the file: byte 9: the pickle asks to run builtins.exec: refused; nothing was run; do not load it in Python; get the model as .safetensors, or from someone you trust"},
	} {
		_, err := torchBytes([]byte(c.data))
		var bad *checkpoint.Error
		if !errors.As(err, &bad) || err.Error() != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.name, err, c.want)
		}
	}
}

func TestLegacySpoiled(t *testing.T) {
	data, err := os.ReadFile("testdata/tiny_legacy.pt")
	if err != nil {
		t.Fatal(err)
	}
	checkpointtest.Spoil(t, data, len(data), func(data []byte) error { _, err := torchBytes(data); return err })
}
