package boards

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// This file reads what changes while a machine runs, and what only sysfs tells: clocks, caches, heat.

// readCores reads the kernel's rating, clock and caches of the cores. Kernels of boards with cores of one kind may not rate them.
func (b *Board) readCores(folder string) {
	for i := range b.CPUs {
		c := &b.CPUs[i]
		for _, core := range c.Cores {
			if n, ok := readInt(filepath.Join(folder, fmt.Sprintf("cpu%d/cpu_capacity", core))); ok {
				c.Capacity = max(c.Capacity, int(min(n, 1024)))
			}
		}
		first := filepath.Join(folder, fmt.Sprintf("cpu%d", c.Cores[0]))
		c.MHz = readMHz(filepath.Join(first, "cpufreq/scaling_cur_freq"))
		c.MaxMHz = readMHz(filepath.Join(first, "cpufreq/cpuinfo_max_freq"))
		c.Governor = readWord(filepath.Join(first, "cpufreq/scaling_governor"))
		for index := range 8 { // index4 is the deepest that was seen
			if cache, ok := readCache(filepath.Join(first, fmt.Sprintf("cache/index%d", index))); ok {
				c.Caches = append(c.Caches, cache)
			}
		}
	}
}

// readCache reads one level, false for a cache of instructions or none.
func readCache(folder string) (Cache, bool) {
	level, ok := readInt(filepath.Join(folder, "level"))
	kind := readWord(filepath.Join(folder, "type"))
	if !ok || level > 8 || kind != "Data" && kind != "Unified" {
		return Cache{}, false
	}
	kb, err := strconv.Atoi(strings.TrimSuffix(readWord(filepath.Join(folder, "size")), "K"))
	if err != nil || kb < 1 || kb > 1<<30 {
		return Cache{}, false
	}
	c := Cache{Level: int(level), KB: kb}
	for _, part := range strings.Split(readWord(filepath.Join(folder, "shared_cpu_list")), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 == nil && err2 == nil && 0 <= from && from <= to && to < maxCores {
			c.Cores += to - from + 1
		}
	}
	return c, true
}

// throttleBits are those of the Raspberry Pi's firmware; 16 higher they say that it has been so since the start.
var throttleBits = map[int]string{
	0: "the supply's voltage is too low", 1: "the clock is capped", 2: "throttled", 3: "the soft limit of temperature is reached",
}

// readThermal reads the hottest zone, and what throttles.
func (b *Board) readThermal(root string) {
	zones, _ := filepath.Glob(filepath.Join(root, "sys/class/thermal/thermal_zone*/temp"))
	for _, zone := range zones {
		if n, ok := readInt(zone); ok && n < 1e6 {
			b.Temperature = max(b.Temperature, float64(n)/1000)
		}
	}
	b.Throttling = Throttling(root)
}

// Throttling tells what holds the clock down, or has since the machine started, as the kernel below root ("/") says it: the flags of
// a Raspberry Pi's firmware, or where a kernel does not show them its alarm of low voltage; and the kernel's own cooling by clock.
func Throttling(root string) (found []string) {
	firmware, _ := filepath.Glob(filepath.Join(root, "sys/devices/platform/soc*/soc*firmware/get_throttled")) // soc:firmware, soc@ADDRESS:firmware
	for _, path := range firmware {
		flags, err := strconv.ParseUint(strings.TrimPrefix(readWord(path), "0x"), 16, 32)
		if err != nil {
			continue
		}
		for bit := range len(throttleBits) {
			switch {
			case flags>>bit&1 == 1:
				found = append(found, "now: "+throttleBits[bit])
			case flags>>(bit+16)&1 == 1:
				found = append(found, "since the start: "+throttleBits[bit])
			}
		}
	}
	if len(firmware) == 0 {
		names, _ := filepath.Glob(filepath.Join(root, "sys/class/hwmon/hwmon*/name"))
		for _, name := range names {
			alarms, _ := filepath.Glob(filepath.Join(filepath.Dir(name), "in*_lcrit_alarm"))
			for _, alarm := range alarms {
				if n, ok := readInt(alarm); ok && n > 0 && readWord(name) == "rpi_volt" {
					found = append(found, "now: "+throttleBits[0])
				}
			}
		}
	}
	devices, _ := filepath.Glob(filepath.Join(root, "sys/class/thermal/cooling_device*"))
	for _, device := range devices {
		kind := readWord(filepath.Join(device, "type"))
		if n, ok := readInt(filepath.Join(device, "cur_state")); ok && n > 0 && strings.Contains(kind, "cpufreq") {
			if what := "now: the kernel lowers the clock (" + kind + ")"; !slices.Contains(found, what) {
				found = append(found, what)
			}
		}
	}
	return found
}

// readInt reads a file that holds one number, as sysfs has them; false for no file, no number, or a negative one.
func readInt(path string) (int64, bool) {
	n, err := strconv.ParseInt(readWord(path), 10, 64)
	return n, err == nil && n >= 0
}

// readMHz reads a clock in kHz; 0 for none.
func readMHz(path string) int {
	khz, _ := readInt(path)
	return int(min(max(khz, 0), 1<<40) / 1000)
}

// readWord is what a small file holds, without the white space around it; "" for a file that cannot be read.
func readWord(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	raw := make([]byte, 1024) // os.ReadFile would take the page that the system says each has
	n, err := io.ReadFull(file, raw)
	if err == nil || err != io.ErrUnexpectedEOF {
		return ""
	}
	return strings.TrimSpace(string(raw[:n]))
}
