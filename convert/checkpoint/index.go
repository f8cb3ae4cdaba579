package checkpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"unicode"
)

// maxIndex bounds an index file: 100 bytes a tensor, and ten thousand tensors.
const maxIndex = 1 << 20

// OpenIndex opens every shard that an index (model.safetensors.index.json, pytorch_model.bin.index.json) names, each by
// the given function. The index is only believed where the shards agree: each tensor must lie in the shard that weight_map
// gives, and no shard may hold one that is not listed.
func OpenIndex(format, path string, open func(path string) (*Checkpoint, error)) (_ *Checkpoint, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	fail := func(name, do, format string, args ...any) error {
		return Errorf(path, name, -1, do, format, args...)
	}
	if info.Size() > maxIndex {
		return nil, fail("", "give the index of the shards", "%d bytes are too many for an index", info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := DecodeJSON(path, text, &index); err != nil {
		return nil, err
	}
	if len(index.WeightMap) == 0 {
		return nil, fail("", "give the file of weights itself", "the index has no weight_map")
	}
	count := make(map[string]int) // tensors a shard
	for name, shard := range index.WeightMap {
		if filepath.Base(shard) != shard || !filepath.IsLocal(shard) || strings.ContainsFunc(shard, unicode.IsControl) {
			return nil, fail(name, "put all shards into the folder of the index", "the shard %q is not a plain file name", shard)
		}
		count[shard]++
	}
	shards := make([]string, 0, len(count))
	for shard := range count {
		shards = append(shards, shard)
	}
	sort.Strings(shards)

	// Shards are opened one by one into a checkpoint of their own, so that each keeps its file, and then
	// put together.
	all := &closers{}
	defer func() {
		if err != nil {
			all.Close()
		}
	}()
	c := New(format, path, all)
	for _, shard := range shards {
		part, err := open(filepath.Join(filepath.Dir(path), shard))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &Error{File: filepath.Join(filepath.Dir(path), shard), Offset: -1, Reason: "is missing, but " + filepath.Base(path) + " lists it",
				Do: "download all shards", Err: err}
		}
		if err != nil {
			return nil, err
		}
		all.list = append(all.list, part)
		for _, name := range part.Names() {
			if index.WeightMap[name] != shard {
				return nil, fail(name, "download the index and the shards again", "it lies in %s, but the index has it in %q", shard, index.WeightMap[name])
			}
			t, _ := part.Lookup(name)
			if err := c.Add(t); err != nil {
				return nil, err
			}
			count[shard]--
		}
		if count[shard] != 0 {
			return nil, fail("", "download the index and the shards again", "%d tensors that the index has in %s are not there", count[shard], shard)
		}
		for k, v := range part.Metadata {
			if c.Metadata == nil {
				c.Metadata = make(map[string]string)
			}
			c.Metadata[k] = v
		}
	}
	return c, nil
}

type closers struct{ list []*Checkpoint }

func (c *closers) Close() error {
	var first error
	for _, part := range c.list {
		if err := part.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
