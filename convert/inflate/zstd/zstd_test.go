package zstd

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// samples are contents of every kind that a compressor treats in its own way.
func samples() map[string][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	noise, few, skewed, repeats := make([]byte, 300<<10), make([]byte, 200<<10), make([]byte, 400<<10), []byte{}
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	for i := range few {
		few[i] = "ab"[r.IntN(2)]
	}
	for i := range skewed {
		skewed[i] = byte(r.NormFloat64() * 20)
	}
	for len(repeats) < 600<<10 { // pieces from near and far
		from := r.IntN(len(noise))
		repeats = append(repeats, noise[from:min(from+r.IntN(3000), len(noise))]...)
	}
	var text strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&text, "line %d says that %d is not %x\n", i, r.IntN(1000), i*7919)
	}
	floats := []byte{}
	for range 50000 {
		floats = binary.LittleEndian.AppendUint32(floats, 0x3f000000|r.Uint32N(1<<16)<<4)
	}
	return map[string][]byte{
		"nothing": {}, "a byte": {7}, "short": []byte("to be or not to be, to be or not to be"), "zeros": make([]byte, 1<<20), "noise": noise, "two letters": few,
		"skewed": skewed, "repeats": repeats, "text": []byte(text.String()), "floats": floats, "all": append(append([]byte(text.String()), repeats...), skewed...),
	}
}

// pack compresses as klauspost's library does, at once or as a stream.
func pack(t testing.TB, data []byte, stream bool, o ...zstd.EOption) []byte {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, append(o, zstd.WithEncoderConcurrency(1))...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if !stream {
		return w.EncodeAll(data, nil)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecode(t *testing.T) {
	for name, want := range samples() {
		for level := zstd.SpeedFastest; level <= zstd.SpeedBestCompression; level++ {
			for _, window := range []int{1 << 10, 64 << 10, 8 << 20} {
				if stream := window == 64<<10; testing.Short() && stream == (level == zstd.SpeedFastest) {
					continue
				}
				packed := pack(t, want, window == 64<<10, zstd.WithEncoderLevel(level), zstd.WithWindowSize(window), zstd.WithEncoderCRC(window != 8<<20))
				var got bytes.Buffer
				if err := Decode(&got, bytes.NewReader(packed), 8<<20); err != nil || !bytes.Equal(got.Bytes(), want) {
					t.Fatalf("%s, level %v, window %d: %v, %d bytes of %d", name, level, window, err, got.Len(), len(want))
				}
			}
		}
	}
}

// Frames follow each other, and others' frames are passed over.
func TestFrames(t *testing.T) {
	a, b := pack(t, []byte("first "), true), pack(t, []byte("second"), false)
	foreign := append([]byte{0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0}, "xyz"...)
	var got bytes.Buffer
	if err := Decode(&got, bytes.NewReader(bytes.Join([][]byte{foreign, a, foreign, b, foreign}, nil)), 1<<20); err != nil || got.String() != "first second" {
		t.Errorf("%q, %v", got.String(), err)
	}
	for what, data := range map[string][]byte{
		"something behind": append(bytes.Clone(a), "rest"...), "a cut foreign frame": append(bytes.Clone(a), foreign[:9]...),
		"a dictionary": {0x28, 0xb5, 0x2f, 0xfd, 0x21, 5, 0}, "a reserved bit": {0x28, 0xb5, 0x2f, 0xfd, 0x28, 0}, "a reserved block": {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 7, 0, 0},
	} {
		if err := Decode(io.Discard, bytes.NewReader(data), 1<<20); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// Any change is an error where there is a checksum, and any cut is one anyway.
func TestDamage(t *testing.T) {
	want := samples()["text"][:3000]
	packed := pack(t, want, false, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	for i := 1; i < len(packed); i++ {
		if err := Decode(io.Discard, bytes.NewReader(packed[:i]), 1<<20); err == nil {
			t.Errorf("cut after %d of %d bytes: no error", i, len(packed))
		}
		for bit := range 8 {
			broken := bytes.Clone(packed)
			broken[i] ^= 1 << bit
			var got bytes.Buffer
			// A flipped bit of the header may take the checksum away, or change what is not used.
			if err := Decode(&got, bytes.NewReader(broken), 1<<20); err == nil && !bytes.Equal(got.Bytes(), want) {
				t.Errorf("bit %d of byte %d: other content and no error", bit, i)
			}
		}
	}
}

func TestWindow(t *testing.T) {
	packed := pack(t, make([]byte, 4<<20), true, zstd.WithWindowSize(2<<20))
	if err := Decode(io.Discard, bytes.NewReader(packed), 1<<20); err != ErrWindow {
		t.Error(err)
	}
}

// What both accept has the same content.
func FuzzDecode(f *testing.F) {
	for _, data := range samples() {
		data = data[:min(len(data), 2000)]
		f.Add(pack(f, data, false))
		f.Add(pack(f, data, true, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderCRC(false)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got bytes.Buffer
		err := Decode(&got, bytes.NewReader(data), 1<<20)
		r, theirs := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(1<<20))
		if theirs != nil {
			t.Fatal(theirs)
		}
		defer r.Close()
		want, theirs := io.ReadAll(io.LimitReader(r, 64<<20))
		if err == nil && theirs == nil && !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%d bytes, the library has %d", got.Len(), len(want))
		}
		if err == nil && theirs != nil || err != nil && theirs == nil && len(want) > 0 {
			t.Logf("%v, the library: %v", err, theirs)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	data := samples()["all"]
	packed := pack(b, data, true)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := Decode(io.Discard, bytes.NewReader(packed), 8<<20); err != nil {
			b.Fatal(err)
		}
	}
}
