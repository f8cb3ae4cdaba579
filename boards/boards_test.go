package boards

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestDetectIn(t *testing.T) {
	const arm = 0x41
	first4, last4 := []int{0, 1, 2, 3}, []int{4, 5, 6, 7}
	for _, test := range []struct {
		folder, profile string
		want            Board
	}{
		{"pi-zero", "pi-zero", Board{Model: "Raspberry Pi Zero W Rev 1.1", Cores: 1, MemTotal: 443080 << 10, MemAvailable: 301724 << 10,
			CPUs: []CPU{{Name: "ARM1176", Implementer: arm, Part: 0xb76, Revision: "r0p7", Cores: []int{0}}}}},
		{"pi-zero-2-w", "pi-zero-2-w", Board{Model: "Raspberry Pi Zero 2 W Rev 1.0", Cores: 4, MemTotal: 435200 << 10, MemAvailable: 267264 << 10,
			CPUs: []CPU{{Name: "Cortex-A53", Implementer: arm, Part: 0xd03, Revision: "r0p4", Cores: first4,
				MHz: 600, MaxMHz: 1000, Governor: "ondemand"}},
			Temperature: 47.236, Throttling: []string{"since the start: the supply's voltage is too low", "since the start: throttled"}}},
		{"pi-3b-plus", "pi-3b-plus", Board{Model: "Raspberry Pi 3 Model B Plus Rev 1.3", Cores: 4, MemTotal: 949448 << 10, MemAvailable: 841728 << 10,
			CPUs: []CPU{{Name: "Cortex-A53", Implementer: arm, Part: 0xd03, Revision: "r0p4", Cores: first4,
				MHz: 1200, MaxMHz: 1400, Governor: "ondemand"}},
			Temperature: 62.3, Throttling: []string{"now: the soft limit of temperature is reached"}}},
		{"pi-4", "pi-4b", Board{Model: "Raspberry Pi 4 Model B Rev 1.1", Cores: 4, MemTotal: 927744 << 10, MemAvailable: 421888 << 10,
			CPUs:       []CPU{{Name: "Cortex-A72", Implementer: arm, Part: 0xd08, Revision: "r0p3", Cores: first4}},
			Throttling: []string{"now: the supply's voltage is too low"}}},
		{"pi-5", "pi-5", Board{Model: "Raspberry Pi 5 Model B Rev 1.0", Cores: 4, MemTotal: 8256512 << 10, MemAvailable: 7340032 << 10,
			CPUs: []CPU{{Name: "Cortex-A76", Implementer: arm, Part: 0xd0b, Revision: "r4p1", Cores: first4,
				MHz: 1500, MaxMHz: 2400, Governor: "ondemand", Caches: []Cache{{1, 64, 1}, {2, 512, 1}, {3, 2048, 4}}}},
			Temperature: 51.15}},
		{"orange-pi-5", "orange-pi-5", Board{Model: "Orange Pi 5", Cores: 8, MemTotal: 8146944 << 10, MemAvailable: 7759462 << 10,
			CPUs: []CPU{
				{Name: "Cortex-A55", Implementer: arm, Part: 0xd05, Revision: "r2p0", Cores: first4, Capacity: 530,
					MHz: 408, MaxMHz: 1800, Governor: "ondemand", Caches: []Cache{{1, 32, 1}, {2, 128, 1}, {3, 3072, 8}}},
				{Name: "Cortex-A76", Implementer: arm, Part: 0xd0b, Revision: "r4p0", Cores: last4, Capacity: 1024,
					MHz: 2400, MaxMHz: 2400, Governor: "ondemand", Caches: []Cache{{1, 64, 1}, {2, 512, 1}, {3, 3072, 8}}}},
			Temperature: 41.615, Throttling: []string{"now: the kernel lowers the clock (cpufreq-cpu4)"}}},
		{"rock-5b", "", Board{Cores: 8,
			CPUs: []CPU{{Name: "Cortex-A55", Implementer: arm, Part: 0xd05, Revision: "r2p0", Cores: first4},
				{Name: "Cortex-A76", Implementer: arm, Part: 0xd0b, Revision: "r4p0", Cores: last4}}}},
		{"pc", "", Board{Cores: 2, MemTotal: 16384000 << 10, MemAvailable: 12288000 << 10,
			CPUs: []CPU{{Name: "Intel(R) Core(TM) i5-7500 CPU @ 3.40GHz", Cores: []int{0, 1}}}}},
		{"damaged", "", Board{Cores: 1, CPUs: []CPU{{Cores: []int{0}}}}},
	} {
		t.Run(test.folder, func(t *testing.T) {
			got := DetectIn(filepath.Join("testdata", test.folder))
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			name := ""
			if p := got.Profile(); p != nil {
				name = p.Name
			}
			if name != test.profile {
				t.Errorf("profile %q, want %q", name, test.profile)
			}
		})
	}
}

func TestNothingReadable(t *testing.T) {
	if b := DetectIn(t.TempDir()); !reflect.DeepEqual(b, Board{}) {
		t.Errorf("from an empty root: %+v", b)
	}
}

func TestString(t *testing.T) {
	for folder, want := range map[string]string{
		"pi-zero-2-w": "Raspberry Pi Zero 2 W Rev 1.0, 4 x Cortex-A53, 425 MB (261 free)",
		"rock-5b":     "4 x Cortex-A55, 4 x Cortex-A76",
		"damaged":     "cores: 1",
	} {
		if got := DetectIn(filepath.Join("testdata", folder)).String(); got != want {
			t.Errorf("%s: %q, want %q", folder, got, want)
		}
	}
}

// What may not be read (here: folders where files should be) is as if it were not there.
func TestUnreadable(t *testing.T) {
	root := t.TempDir()
	for _, path := range []string{
		"proc/cpuinfo", "proc/meminfo", "proc/device-tree/model", "sys/class/thermal/thermal_zone0/temp",
		"sys/devices/platform/soc/soc_firmware/get_throttled",
	} {
		if err := os.MkdirAll(filepath.Join(root, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got := DetectIn(root); !reflect.DeepEqual(got, Board{}) {
		t.Errorf("got %+v", got)
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
	for _, board := range []string{"rock-5b", "orange-pi-5"} {
		if got := DetectIn("testdata/" + board).BigCores(); !reflect.DeepEqual(got, last4) {
			t.Errorf("%s: %v, want the Cortex-A76: %v", board, got, last4)
		}
	}
}
