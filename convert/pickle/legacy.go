package pickle

import (
	"encoding/binary"
	"io"
)

// The form of torch.save before PyTorch 1.6 (and since, with _use_new_zipfile_serialization=False): five pickles and then the
// storages, one right behind the other.
//
//	the number 0x1950a86a20f9469cfc6c
//	the number 1001, the version of the form
//	a dictionary of the machine's properties, which nobody uses: numbers are little-endian on all of them
//	the object; tensors in it refer to storages by key
//	a list of the keys, in the order of the storages
//	for each: u64 elements, their bytes
//
// Source: torch/serialization.py, _legacy_save and _legacy_load.

// legacyMagic are the bytes of the first number, little-endian.
var legacyMagic = []byte("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")

const legacyVersion = 1001

func (f *TorchFile) loadLegacy(size int64) error {
	f.member = "the file"
	pos := int64(0)
	next := func(budget int64, persistent func(Node) Node) (Node, error) {
		f.at = pos
		n, end, err := Read(io.NewSectionReader(f.file, pos, size-pos), size-pos, Options{Budget: &budget, Persistent: persistent})
		if err != nil {
			return nil, f.pickleError(err)
		}
		pos += end
		return n, nil
	}
	const small = 1 << 16 // of the first three, which say little
	magic, err := next(small, nil)
	if err != nil {
		return err
	}
	if magic != integer(legacyMagic) {
		return f.fail("", 0, "", nil, "it does not start with the number that every file of PyTorch before 1.6 starts with")
	}
	version, err := next(small, nil)
	if err != nil {
		return err
	}
	if v, ok := AsInt(version); !ok || v != legacyVersion {
		return f.fail("", f.at, remedy, nil, "its version is %v where %d was expected", number(version), legacyVersion)
	}
	if _, err := next(small, nil); err != nil {
		return err
	}

	// What the storages' elements are is said only in the object.
	elements := make(map[string]int64) // key -> bytes of an element
	var unknown error
	root, err := next(4*size+8<<20, func(id Node) Node {
		// A class of a whole module comes with its source code: ("module", class, file, source).
		if t, ok := id.(*Tuple); ok && len(t.Items) == 4 && t.Items[0] == Node("module") {
			return t.Items[1]
		}
		s, err := f.parseID("", id)
		if err != nil && unknown == nil {
			unknown = err // all sizes are needed, to find the storages
		}
		if elements[s.key] == 0 {
			elements[s.key] = s.size
		}
		return &Persistent{id}
	})
	if err != nil {
		return err
	}
	if unknown != nil {
		return unknown
	}
	at := f.at
	list, err := next(4*size+4<<20, nil)
	if err != nil {
		return err
	}
	keys, ok := list.(*List)
	if !ok {
		return f.fail("", f.at, "", nil, "%s where the list of its storages was expected", Describe(list))
	}
	for _, k := range keys.Items {
		key, ok := k.(string)
		if !ok {
			return f.fail("", f.at, "", nil, "the key of a storage is %s", Describe(k))
		}
		element, used := elements[key]
		if !used {
			return f.fail("", f.at, "", nil, "it lists storage %q, which no tensor uses", clip(key))
		}
		if _, twice := f.storage[key]; twice {
			return f.fail("", f.at, "", nil, "it lists storage %q twice", clip(key))
		}
		var head [8]byte
		if size-pos < 8 {
			return f.fail("", pos, "download it again", nil, "the file ends before storage %q", clip(key))
		}
		if _, err := f.file.ReadAt(head[:], pos); err != nil {
			return f.fail("", pos, "", err, "could not read")
		}
		count := binary.LittleEndian.Uint64(head[:])
		if count > uint64(size-pos-8)/uint64(element) {
			return f.fail("", pos, "download it again", nil, "storage %q claims %d elements of %d bytes where %d bytes are left", clip(key), count, element, size-pos-8)
		}
		f.storage[key] = extent{pos + 8, int64(count) * element}
		pos += 8 + int64(count)*element
	}
	if pos != size {
		return f.fail("", pos, "", nil, "%d bytes follow the last storage", size-pos)
	}
	f.Root, f.at = root, at
	return nil
}

// number shows an integer in a message.
func number(n Node) any {
	if i, ok := AsInt(n); ok {
		return i
	}
	return Describe(n)
}
