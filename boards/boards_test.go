package boards

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestDetectIn(t *testing.T) {
	const arm = 0x41
	first4 := []int{0, 1, 2, 3}
	for _, test := range []struct {
		folder string
		want   Board // page size is the tester's and not compared
	}{
		{"pi-zero", Board{Model: "Raspberry Pi Zero W Rev 1.1", Cores: 1, MemTotal: 443080 << 10, MemAvailable: 301724 << 10,
			CPUs: []CPU{{"ARM1176", arm, 0xb76, "r0p7", []int{0}, 0}}}},
		{"pi-zero-2-w", Board{Model: "Raspberry Pi Zero 2 W Rev 1.0", Cores: 4, MemTotal: 435200 << 10, MemAvailable: 267264 << 10,
			CPUs: []CPU{{"Cortex-A53", arm, 0xd03, "r0p4", first4, 0}}}},
		{"pi-4", Board{Model: "Raspberry Pi 4 Model B Rev 1.1", Cores: 4, MemTotal: 927744 << 10, MemAvailable: 421888 << 10,
			CPUs: []CPU{{"Cortex-A72", arm, 0xd08, "r0p3", first4, 0}}}},
		{"pi-5", Board{Model: "Raspberry Pi 5 Model B Rev 1.0", Cores: 4, MemTotal: 8256512 << 10, MemAvailable: 7340032 << 10,
			CPUs: []CPU{{"Cortex-A76", arm, 0xd0b, "r4p1", first4, 0}}}},
		{"rock-5b", Board{Cores: 8,
			CPUs: []CPU{{"Cortex-A55", arm, 0xd05, "r2p0", first4, 0}, {"Cortex-A76", arm, 0xd0b, "r4p0", []int{4, 5, 6, 7}, 0}}}},
		{"pc", Board{Cores: 2, MemTotal: 16384000 << 10, MemAvailable: 12288000 << 10,
			CPUs: []CPU{{"Intel(R) Core(TM) i5-7500 CPU @ 3.40GHz", 0, 0, "", []int{0, 1}, 0}}}},
		{"damaged", Board{Cores: 1, CPUs: []CPU{{"", 0, 0, "", []int{0}, 0}}}},
	} {
		t.Run(test.folder, func(t *testing.T) {
			got := DetectIn(filepath.Join("testdata", test.folder))
			test.want.PageSize = got.PageSize
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestNothingReadable(t *testing.T) {
	b := DetectIn(t.TempDir())
	if b.Cores < 1 || b.PageSize != os.Getpagesize() || b.Model != "" || len(b.CPUs) != 0 || b.MemTotal != 0 {
		t.Errorf("from an empty root: %+v", b)
	}
	if b.String() == "" {
		t.Error("a board without facts prints nothing")
	}
}

func TestString(t *testing.T) {
	for folder, want := range map[string]string{
		"pi-zero-2-w": "Raspberry Pi Zero 2 W Rev 1.0, 4 x Cortex-A53, 425 MB (261 free), 4 KB pages",
		"rock-5b":     "4 x Cortex-A55, 4 x Cortex-A76, 4 KB pages",
		"damaged":     "cores: 1, 4 KB pages",
	} {
		b := DetectIn(filepath.Join("testdata", folder))
		b.PageSize = 4096
		if got := b.String(); got != want {
			t.Errorf("%s: %q, want %q", folder, got, want)
		}
	}
}

// The machine at hand: whatever it is, what every machine has must be there.
func TestDetect(t *testing.T) {
	b := Detect()
	t.Log(b)
	if b.Cores < 1 || b.PageSize < 4096 || b.PageSize&(b.PageSize-1) != 0 {
		t.Errorf("%+v", b)
	}
	if b.MemAvailable > b.MemTotal {
		t.Errorf("%d bytes available of %d", b.MemAvailable, b.MemTotal)
	}
}

func TestBigCores(t *testing.T) {
	const arm = 0x41
	first4, last4 := []int{0, 1, 2, 3}, []int{4, 5, 6, 7}
	kinds := func(c ...CPU) Board {
		b := Board{CPUs: c}
		for _, k := range c {
			b.Cores += len(k.Cores)
		}
		return b
	}
	for _, test := range []struct {
		name  string
		board Board
		want  []int
	}{
		{"nothing known", Board{Cores: 4}, nil},
		{"one kind", kinds(CPU{Implementer: arm, Part: 0xd03, Cores: first4}), nil},
		{"one rated kind", kinds(CPU{Implementer: arm, Part: 0xd03, Cores: first4, Capacity: 1024}), nil},
		{"by kind", kinds(CPU{Implementer: arm, Part: 0xd05, Cores: first4}, CPU{Implementer: arm, Part: 0xd0b, Cores: last4}), last4},
		{"by rating", kinds(CPU{Part: 1, Cores: first4, Capacity: 1024}, CPU{Part: 2, Cores: last4, Capacity: 530}), first4},
		{"nearly alike", kinds(CPU{Part: 1, Cores: first4, Capacity: 1024}, CPU{Part: 2, Cores: last4, Capacity: 800}), nil},
		{"two kinds of small cores", kinds(CPU{Implementer: arm, Part: 0xd03, Cores: first4}, CPU{Implementer: arm, Part: 0xd05, Cores: last4}), nil},
	} {
		if got := test.board.BigCores(); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	if got := DetectIn("testdata/rock-5b").BigCores(); !reflect.DeepEqual(got, last4) {
		t.Errorf("rock-5b: %v, want the Cortex-A76: %v", got, last4)
	}
}
