package runtime_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/kernels"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/alloctest"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

const bergamotFolder = "../convert/testdata/bergamot/shared"

// The words of the list have the bits that the whole product gives them, on every kernel set, with and without a beam, alone and
// in a batch; no other word can come. Sentences for which there is not enough memory to gather get the same.
func TestShortlistEqualsWholeProduct(t *testing.T) {
	m := convertFolder(t, bergamotFolder)
	sources := [][]int32{}
	for i := range 6 {
		var ids []int32
		for j := range 2 + 3*i {
			ids = append(ids, int32((i*31+j*17)%(m.Config().SourceVocab-2)+2))
		}
		sources = append(sources, ids)
	}
	// results are the tokens of each source, which must be the same under all settings of a beam.
	results := map[string]string{}
	for _, set := range kernels.Available() {
		for _, rows := range []int{1 << 15, 16} { // 16: none of the sentences fits
			restore := edge.ShortlistRows(rows)
			for _, o := range []edge.Options{{}, {Batch: 4}, {Scores: true}, {Batch: 4, Beam: 3, Threads: 2}, {Beam: 3}} {
				o.Kernels, o.MaxTarget = set.Name, 12
				s, err := m.NewSession(o)
				if err != nil {
					t.Fatal(err)
				}
				tokens := make([][]int32, len(sources))
				slot := map[int]int{}
				for next, done := 0, 0; done < len(sources); {
					for ; next < len(sources); next++ {
						at, err := s.Add(sources[next])
						if err != nil {
							t.Fatal(err)
						}
						if at < 0 {
							break
						}
						slot[at] = next
					}
					if _, err := s.Step(); err != nil {
						t.Fatal(err)
					}
					checkShortlist(t, s, m.Config().TargetVocab, o.Beam > 1 || o.Scores)
					for at, i := range slot {
						if s.Done(at) {
							tokens[i] = slices.Clone(s.Best(at)[0].Tokens)
							s.Release(at)
							delete(slot, at)
							done++
						}
					}
				}
				key := fmt.Sprint(o.Beam > 1)
				if got := fmt.Sprint(tokens); results[key] == "" {
					results[key] = got
				} else if got != results[key] {
					t.Errorf("%+v, %d rows: tokens\n%s, want\n%s", o, rows, got, results[key])
				}
			}
			restore()
		}
	}
}

func checkShortlist(t *testing.T, s *edge.Session, vocab int, logits bool) {
	t.Helper()
	whole, words, err := s.WholeLogits()
	if err != nil {
		t.Fatal(err)
	}
	for row := range whole {
		if n := len(words[row]); n < 20 || n > vocab-10 {
			t.Fatalf("%d words of %d: the list does not do what it is for", n, vocab)
		}
		if !logits {
			continue // greedy search keeps none: that it takes the same words is checked by its tokens
		}
		got := s.Logits(row)
		listed := map[int32]bool{}
		for _, id := range words[row] {
			listed[id] = true
			if math.Float32bits(got[id]) != math.Float32bits(whole[row][id]) {
				t.Fatalf("row %d, word %d: %g, the whole product has %g", row, id, got[id], whole[row][id])
			}
		}
		for id, v := range got {
			if !listed[int32(id)] && v > -1e38 {
				t.Fatalf("row %d: word %d, which is not in the list, has %g", row, id, v)
			}
		}
	}
}

// A list of a few words, counted out by hand: the frequent ones, the end, those of each source word, and copies.
func TestShortlistWords(t *testing.T) {
	for _, c := range []struct {
		first  int
		copies bool
		source []int32
		want   string
	}{
		{0, false, []int32{2}, "[0 1]"}, // 0: the end, and what it may become, which is nothing
		{0, false, []int32{3, 2}, "[0 1 3]"},
		{1, false, []int32{1}, "[0]"},
		{2, false, []int32{1}, "[0 1]"},
		{0, true, []int32{2}, "[0 1 2]"},
		{9, false, []int32{1}, ""},
	} {
		m, err := openShort(t, edge.BuildShortlist(c.first, c.copies, []uint32{0, 0, 0, 1, 3}, []uint32{1, 3, 3}))
		if c.want == "" {
			if err == nil {
				t.Error("a list of more words than there are was taken")
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		s, err := m.NewSession(edge.Options{MaxTarget: 3})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Add(c.source); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Step(); err != nil {
			t.Fatal(err)
		}
		if _, words, _ := s.WholeLogits(); fmt.Sprint(words[0]) != c.want {
			t.Errorf("first %d, copies %v, source %v: words %v, want %s", c.first, c.copies, c.source, words[0], c.want)
		}
	}
}

func openShort(t *testing.T, section []byte) (*edge.Model, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "short.ei8")
	images := map[modelfile.Kind][]byte{modelfile.SectionShortlist: section}
	if err := writeTiny(path, tinyMeta(t, tinyConfig()), tinyTensors(), images, nil); err != nil {
		t.Fatal(err)
	}
	m, err := edge.Open(path)
	if m != nil {
		t.Cleanup(func() { m.Close() })
	}
	return m, err
}

// Sections that do not fit the model are refused before anything runs.
func TestShortlistsThatDoNotFit(t *testing.T) {
	good := edge.BuildShortlist(1, true, []uint32{0, 0, 0, 1, 3}, []uint32{1, 3, 3})
	if _, err := openShort(t, good); err != nil {
		t.Fatal(err)
	}
	put := func(at int, v uint32) []byte {
		b := slices.Clone(good)
		binary.LittleEndian.PutUint32(b[4*at:], v)
		return b
	}
	for want, b := range map[string][]byte{
		"has 12 bytes, must have 16 or more":                        good[:12],
		"has 47 bytes, must have 48":                                good[:47],
		"has 52 bytes, must have 48":                                append(slices.Clone(good), 0, 0, 0, 0),
		"lets the first 5 words always come, the model has 4":       put(0, 5),
		"has unknown flags 0x3":                                     put(1, 3),
		"has lists for 5 source words, the model has 4":             put(2, 5),
		"has lists for 4294967295 source words, the model has 4":    put(2, 1<<32-1),
		"has 48 bytes, must have 17179869216":                       put(3, 1<<32-1),
		"has offset 1 at source word 0: they must rise from 0 to 3": put(4, 1),
		"has offset 9 at source word 2: they must rise from 0 to 3": put(6, 9),
		"has offset 2 at source word 4: they must rise from 0 to 3": put(8, 2),
		"has offset 0 at source word 3: they must rise from 0 to 3": edge.BuildShortlist(1, true, []uint32{0, 0, 1, 0, 3}, []uint32{1, 3, 3}),
		"names target word 4, the model has 4":                      put(11, 4),
		// Numbers that are below 0 where an int has 32 bits.
		"lets the first 2147483648 words always come, the model has 4":       put(0, 1<<31),
		"has unknown flags 0x80000000":                                       put(1, 1<<31),
		"has offset 4294967295 at source word 1: they must rise from 0 to 3": put(5, 1<<32-1),
		"names target word 2147483648, the model has 4":                      put(9, 1<<31),
		"names target word 4294967295, the model has 4":                      put(10, 1<<32-1),
		"copies words, but the vocabularies have 4 and 5":                    nil,
	} {
		var err error
		if b != nil {
			_, err = openShort(t, b)
		} else {
			_, err = openTiny(t, func(c *edge.TransformerConfig) { c.TargetVocab = 5 }, func(s []modelfile.TensorSpec) []modelfile.TensorSpec {
				s[2].Shape = []int{5, 16}
				return s
			}, map[modelfile.Kind][]byte{modelfile.SectionShortlist: good})
		}
		var model *edge.ModelError
		if !errors.As(err, &model) || !strings.HasSuffix(err.Error(), ": shortlist: "+want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// With a shortlist, too, a sentence allocates nothing, and the Plan counts what is gathered.
func TestShortlistMemory(t *testing.T) {
	m := convertFolder(t, bergamotFolder)
	for _, o := range []edge.Options{{}, {Scores: true, Batch: 2}, {Beam: 4, Threads: 2}} {
		with, err := m.Plan(o)
		if err != nil {
			t.Fatal(err)
		}
		without := o
		without.NoShortlist = true
		plain, err := m.Plan(without)
		if err != nil {
			t.Fatal(err)
		}
		var bytes int64
		for _, p := range with.Parts {
			if p.Name == "shortlist" {
				bytes = p.Bytes
			}
		}
		if least := int64(max(o.Batch, 1) * 128 * (64 + 4 + 4)); bytes < least || with.Anonymous != plain.Anonymous+bytes {
			t.Errorf("%+v: %d bytes for the shortlist, at least %d; %d bytes with it, %d without", o, bytes, least, with.Anonymous, plain.Anonymous)
		}
		s, err := m.NewSession(o)
		if err != nil {
			t.Fatal(err)
		}
		if n := alloctest.PerRun(5, func() {
			slot, _ := s.Add([]int32{5, 9, 31, 40, 8})
			for !s.Done(slot) {
				if _, err := s.Step(); err != nil {
					t.Fatal(err)
				}
			}
			s.Release(slot)
		}); n != 0 {
			t.Errorf("%+v: %g allocations a sentence", o, n)
		}
	}
}
