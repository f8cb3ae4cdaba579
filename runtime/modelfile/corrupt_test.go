package modelfile

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edge-infer/edge-infer/runtime/alloctest"
)

// stride says how sparsely a test with n cases of the given cost must sample: 1, all of them, wherever that takes at most
// ten seconds, as it does on any CPU that runs natively. Under emulation, with -short, or with EDGE_INFER_TEST_SAMPLE=k
// (every k-th case) it is more, and the log says so.
func stride(t *testing.T, n int, one func()) int {
	start := time.Now()
	for range 50 {
		one()
	}
	workers := goruntime.GOMAXPROCS(0)
	step := 1 + int(time.Since(start)*time.Duration(n)/50/time.Duration(workers)/(10*time.Second))
	if testing.Short() {
		step = max(step, 101)
	}
	if k, err := strconv.Atoi(os.Getenv("EDGE_INFER_TEST_SAMPLE")); err == nil {
		step = max(k, 1)
	}
	if step > 1 {
		t.Logf("sampled: every %dth of %d cases", step, n)
	}
	return step
}

// inParallel calls do for 0, step, 2*step, ... below n; each worker has its own copy of b.
func inParallel(b []byte, n, step int, do func(b []byte, i int)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range goruntime.GOMAXPROCS(0) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			mine := aligned(b)
			for i := int(next.Add(int64(step))) - step; i < n; i = int(next.Add(int64(step))) - step {
				do(mine, i)
			}
		}()
	}
	wait.Wait()
}

// model64K is a valid model of about 64 KiB.
func model64K(t testing.TB) []byte {
	r := rand.New(rand.NewPCG(5, 6))
	b := image(t, testMeta(), []SectionData{{Kind: SectionTokenizerSource, Data: []byte("tokenizer")}}, []sample{
		makeSample(r, "embed", I8, Rows, 150, 128),
		makeSample(r, "w", I8, N16K4, 200, 190),
		makeSample(r, "bias", F32, Rows, 200),
		makeSample(r, "rows", F64, Rows, 8, 31),
	})
	if len(b) < 60<<10 || len(b) > 68<<10 {
		t.Fatalf("the model has %d bytes", len(b))
	}
	return b
}

func isFormatError(err error) bool {
	var e *FormatError
	return errors.As(err, &e) && e.Reason != ""
}

// Every bit of a file, turned around alone, makes it a *FormatError.
func TestEveryBitFlip(t *testing.T) {
	b := model64K(t)
	step := stride(t, 8*len(b), func() { _, _ = openBytes(b) })
	inParallel(b, 8*len(b), step, func(b []byte, i int) {
		b[i/8] ^= 1 << (i % 8)
		if _, err := openBytes(b); !isFormatError(err) {
			t.Errorf("bit %d of byte %d: error %v", i%8, i/8, err)
		}
		b[i/8] ^= 1 << (i % 8)
	})
}

// Every bit of header, table, metadata and index, turned around with the checksums made right: either an error, or a
// file whose every slice can be read. Checksums protect from accidents, not from someone who can compute them.
func TestEveryBitFlipWithRightChecksums(t *testing.T) {
	whole := brokenModel(t)
	data := decodeSection(whole.entry(whole.find(SectionTensorData)))
	n := int(data.offset) * 8
	var opened atomic.Int64
	step := stride(t, n, func() { _, _ = openBytes(whole.b) })
	inParallel(whole.b, n, step, func(b []byte, i int) {
		before := append([]byte(nil), b[:data.offset]...)
		b[i/8] ^= 1 << (i % 8)
		fixSums(b)
		f, err := openBytes(b)
		if err != nil && !isFormatError(err) {
			t.Errorf("bit %d of byte %d: error %v", i%8, i/8, err)
		}
		if err == nil {
			opened.Add(1)
			readAll(f)
		}
		copy(b, before)
	})
	t.Logf("%d of %d changes gave another valid file (names, metadata, shapes with the same padding)", opened.Load(), (n+step-1)/step)
}

// readAll touches everything that an open file hands out, and panics if any of it is not as promised.
func readAll(f *File) (sum float64) {
	for i := range f.Tensors() {
		t := &f.Tensors()[i]
		want := t.PaddedRows() * t.PaddedCols()
		got := 0
		switch t.DType {
		case I8:
			got = len(t.I8())
		case F16:
			got = len(t.F16())
		case F32:
			got = len(t.F32())
			for _, x := range t.F32() {
				sum += float64(x)
			}
		case F64:
			got = len(t.F64())
		}
		if got != want || (t.DType == I8) != (len(t.Scale) == t.PaddedRows()) || (t.Layout == N16K4) != (len(t.Sum) == t.PaddedRows()) {
			panic(fmt.Sprintf("tensor %+v", t.Spec()))
		}
		for _, b := range t.Data {
			sum += float64(b)
		}
		for _, s := range t.Scale {
			sum += float64(s)
		}
		if found, ok := f.Lookup(t.Name); !ok || found != t {
			panic("lookup of " + t.Name)
		}
	}
	for _, s := range f.Sections() {
		if int64(len(f.Section(s.Kind))) != s.Size {
			panic("section " + s.Kind.String())
		}
	}
	if math.IsNaN(sum) {
		panic("NaN")
	}
	return sum
}

// Every shorter file, and every longer one.
func TestEveryLength(t *testing.T) {
	b := model64K(t)
	for n := range b {
		if _, err := openBytes(b[:n]); !isFormatError(err) {
			t.Fatalf("cut to %d bytes: error %v", n, err)
		}
	}
	for _, tail := range []int{1, 7, 63, 64, 4096} {
		if _, err := openBytes(aligned(append(aligned(b), make([]byte, tail)...))); !isFormatError(err) {
			t.Errorf("%d bytes appended: error %v", tail, err)
		}
	}
	path := filepath.Join(t.TempDir(), "cut.ei8")
	for _, n := range []int{0, 1, 7, 8, 31, 32, 100, 4095, 4096, len(b) - 1} {
		if err := os.WriteFile(path, b[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		if !isFormatError(err) || !strings.Contains(err.Error(), path) {
			t.Errorf("file cut to %d bytes: error %v", n, err)
		}
		t.Log(err)
	}
}

// A header that claims huge numbers costs no memory: the numbers are compared with the bytes that remain first.
func TestHugeCountsAllocateNothing(t *testing.T) {
	whole := brokenModel(t)
	const limit = 64 << 10 // the honest model itself takes a few KiB
	for name, breakIt := range map[string]func(m *broken){
		"sections":   func(m *broken) { put32(m.b[12:], math.MaxUint32) },
		"file size":  func(m *broken) { put64(m.b[16:], math.MaxInt64) },
		"section":    func(m *broken) { put64(m.entry(0)[16:], math.MaxInt64) },
		"metadata":   func(m *broken) { put64(m.entry(0)[16:], 1<<40) },
		"tensors":    func(m *broken) { put32(m.section(SectionTensors), math.MaxUint32) },
		"tensors ok": func(m *broken) { put32(m.section(SectionTensors), maxTensors) },
		"rank":       func(m *broken) { m.record(blocks)[3] = 255 },
		"name":       func(m *broken) { m.record(double)[0] = 255 },
		"dimension":  func(m *broken) { put64(m.record(bytesRows)[recordSize:], 1<<30) },
		"dimensions": func(m *broken) { put64(m.record(bytesRows)[recordSize+8:], 1<<40) },
		"everything": func(m *broken) {
			for i := range m.section(SectionTensors) {
				m.section(SectionTensors)[i] = 0xff
			}
		},
	} {
		m := &broken{aligned(whole.b)}
		breakIt(m)
		m.fix()
		var err error
		used := alloctest.Bytes(func() { _, err = openBytes(m.b) })
		if !isFormatError(err) {
			t.Errorf("%s: error %v", name, err)
		}
		if used > limit {
			t.Errorf("%s: %d bytes were allocated for %v", name, used, err)
		}
	}
}

// checkBlocks adds in words what a plain loop adds one by one.
func TestBlockSumsAgreeWithPlainLoop(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, k := range []int{1, 3, 4, 15, 16, 17, 511, 512, 513, 1024, 1500} {
		s := makeSample(r, "w", I8, N16K4, 20, k) // whose sums were added one by one
		b := image(t, testMeta(), nil, []sample{s})
		if _, err := openBytes(b); err != nil {
			t.Errorf("%d columns: %v", k, err)
		}
	}
}

// The checksum of a whole is that of its parts, combined.
func TestCombineCRC(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	b := make([]byte, 5000)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	for range 200 {
		n, m := r.IntN(len(b)), r.IntN(len(b))
		n, m = min(n, m), max(n, m)
		if got, want := combineCRC(checksum(b[:n]), checksum(b[n:m]), m-n), checksum(b[:m]); got != want {
			t.Fatalf("%d and %d bytes: %#x, want %#x", n, m-n, got, want)
		}
	}
}

// A file of several megabytes goes through the pieces and the goroutines; a change in its last piece is found.
func TestLargeFileInPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	b := image(t, testMeta(), nil, []sample{makeSample(r, "w", I8, N16K4, 2000, 1500), makeSample(r, "r", I8, Rows, 1000, 1111)})
	if _, err := openBytes(b); err != nil {
		t.Fatal(err)
	}
	m := &broken{b}
	for _, c := range []struct {
		at     int
		reason string
	}{{len(b) - 4*1000 - 200, "holds -128"}, {int(le.Uint64(m.record(0)[32:])) - 40*1504, "holds -128"}} {
		m := &broken{aligned(b)}
		m.b[c.at] = 0x80
		if _, err := openBytes(m.b); err == nil || !strings.Contains(err.Error(), "checksum of section DATA") {
			t.Errorf("byte %d changed: %v", c.at, err)
		}
		m.fix()
		_, err := openBytes(m.b)
		var e *FormatError
		if !errors.As(err, &e) || !strings.Contains(e.Reason, c.reason) || e.Offset != int64(c.at) {
			t.Errorf("byte %d changed: %v", c.at, err)
		}
	}
}

// TestSmall: a single element outside -64 to 63, in any piece, is seen in its tensor alone.
func TestSmall(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for _, c := range []struct {
		value int8
		small bool
	}{{0, true}, {63, true}, {-64, true}, {64, false}, {-65, false}, {127, false}, {-127, false}} {
		const rows, cols = 2000, 1500 // several pieces
		s := sample{TensorSpec: TensorSpec{Name: "w", DType: I8, Layout: N16K4, Shape: []int{rows, cols}}}
		s.data, s.scale, s.sum = make([]byte, rows*s.PaddedCols()), make([]float32, rows), make([]int32, rows)
		n, k := r.IntN(rows), r.IntN(cols)
		s.data[n/16*16*s.PaddedCols()+k/4*64+n%16*4+k%4] = byte(c.value)
		s.sum[n] = int32(c.value)
		other := makeSample(r, "other", I8, N16K4, 20, 30)
		f, err := openBytes(image(t, testMeta(), nil, []sample{s, other, makeSample(r, "rows", I8, Rows, 3, 3)}))
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []bool{c.small, false, false} {
			if got := &f.Tensors()[i]; got.Small != want {
				t.Errorf("%d in row %d, column %d: small is %v of tensor %s, want %v", c.value, n, k, got.Small, got.Name, want)
			}
		}
	}
}
