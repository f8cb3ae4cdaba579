// Package boards says what the machine is: its model, its cores, its memory; and what is known of boards that are not at
// hand. Of the machine it only reads what the kernel tells everybody
// under /proc and /sys, never fails, and leaves empty what is not known: of a machine that tells nothing, Detect still gives
// the number of cores and the page size.
package boards

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
)

// Board is one machine.
type Board struct {
	Model        string `json:"model,omitempty"`         // as the firmware names it: "Raspberry Pi Zero 2 W Rev 1.0"
	Machine      string `json:"machine,omitempty"`       // the kernel's architecture (uname -m); a 32-bit program may see "aarch64"
	CPUs         []CPU  `json:"cpus,omitempty"`          // kinds of core in order of their first core: two on a big.LITTLE
	Cores        int    `json:"cores"`                   // logical cores the kernel lists; 0: not told
	MemTotal     int64  `json:"mem_total,omitempty"`     // bytes the kernel manages: less than the module, the GPU has the rest
	MemAvailable int64  `json:"mem_available,omitempty"` // bytes that programs can have without swapping
	PageSize     int    `json:"page_size,omitempty"`     // bytes; 16384 on the kernels of a Raspberry Pi 5; in no file

	Temperature float64  `json:"temperature,omitempty"` // degrees Celsius, of the hottest zone; 0: not told
	Throttling  []string `json:"throttling,omitempty"`  // what holds the clock down now, or has since the machine started
}

// CPU is one kind of core.
type CPU struct {
	Name        string `json:"name,omitempty"`        // "Cortex-A53", or the vendor's name on a PC
	Implementer int    `json:"implementer,omitempty"` // 0x41 is Arm
	Part        int    `json:"part,omitempty"`        // MIDR part number; 0 where there is none
	Revision    string `json:"revision,omitempty"`    // "r0p4": variant and revision
	Cores       []int  `json:"cores"`                 // numbers of the cores, as cpuinfo counts them
	Capacity    int    `json:"capacity,omitempty"`    // of the fastest of them, as the kernel rates cores: the machine's best is 1024

	MHz      int     `json:"mhz,omitempty"`      // clock of the first of them now
	MaxMHz   int     `json:"max_mhz,omitempty"`  // and the most it can be
	Governor string  `json:"governor,omitempty"` // what chooses the clock
	Caches   []Cache `json:"caches,omitempty"`   // of data, of the first of them, nearest first; many kernels tell none
}

// Cache is one level of a core's caches.
type Cache struct {
	Level int `json:"level"`
	KB    int `json:"kb"`
	Cores int `json:"cores,omitempty"` // that share it, 0: not told
}

// Detect describes the machine that the program runs on.
func Detect() Board {
	b := DetectIn("/")
	b.Machine = Machine()
	b.PageSize = os.Getpagesize()
	if b.Cores == 0 {
		b.Cores = goruntime.NumCPU()
	}
	return b
}

// DetectIn reads the files of another root folder: a recorded board, or a mounted card.
func DetectIn(root string) (b Board) {
	b.readCPUInfo(filepath.Join(root, "proc/cpuinfo"))
	b.readCores(filepath.Join(root, "sys/devices/system/cpu"))
	b.readThermal(root)
	// The device tree ends its strings with NUL. On Linux the first path is a link to the second.
	for _, path := range []string{"proc/device-tree/model", "sys/firmware/devicetree/base/model"} {
		if raw, err := os.ReadFile(filepath.Join(root, path)); err == nil {
			if model := strings.TrimSpace(string(bytes.Trim(raw, "\x00"))); model != "" {
				b.Model = model
				break
			}
		}
	}
	b.readMemInfo(filepath.Join(root, "proc/meminfo"))
	return b
}

// readCPUInfo reads one block of "key : value" lines for each core, and on Raspberry Pi kernels a last block with the Model.
// A 32-bit kernel may list the implementer once a core too; a PC has "model name" and no part number.
func (b *Board) readCPUInfo(path string) {
	cpu, number := CPU{}, 0
	variant, revision := "", ""
	inCore := false
	end := func() {
		if inCore {
			if variant != "" && revision != "" {
				cpu.Revision = fmt.Sprintf("r%sp%s", strings.TrimPrefix(variant, "0x"), revision)
			}
			b.addCore(cpu, number)
		}
		cpu, variant, revision, inCore = CPU{}, "", "", false
	}
	eachField(path, func(key, value string) {
		switch key {
		case "processor":
			end()
			inCore = true
			// Cores that are switched off are not listed, so the numbers may have gaps.
			number = b.Cores
			if n, err := strconv.Atoi(value); err == nil && n >= 0 && n < maxCores {
				number = n
			}
			b.Cores++
		case "model name":
			cpu.Name = value
		case "CPU implementer":
			cpu.Implementer = parseHex(value)
		case "CPU part":
			cpu.Part = parseHex(value)
		case "CPU variant":
			variant = value
		case "CPU revision":
			revision = value
		case "Model":
			b.Model = value
		}
	})
	end()
}

// maxCores is far above what any board has, and keeps a damaged cpuinfo from inventing more.
const maxCores = 4096

// addCore puts a core to its kind. The kernel's own name of an Arm core is its architecture ("ARMv7 Processor rev 4"), so
// the part number's name goes before it.
func (b *Board) addCore(c CPU, number int) {
	if kind := coreOf(c.Implementer, c.Part); kind != nil {
		c.Name = kind.Name
	}
	for i := range b.CPUs {
		k := &b.CPUs[i]
		if k.Name == c.Name && k.Implementer == c.Implementer && k.Part == c.Part && k.Revision == c.Revision {
			k.Cores = append(k.Cores, number)
			return
		}
	}
	c.Cores = []int{number}
	b.CPUs = append(b.CPUs, c)
}

// BigCores are the numbers of the fast cores of a machine that has slow ones beside them, such as the Cortex-A76 of an
// RK3588 beside its A55; nil where the cores are alike, or nothing is known of them. Work that is dealt out evenly among both
// kinds waits for the slow ones. The kernel's rating decides: three quarters of the best one's are as fast. Without ratings it
// is the kind of core.
func (b Board) BigCores() []int {
	best, rated := 0, true
	for _, c := range b.CPUs {
		best = max(best, c.Capacity)
		rated = rated && c.Capacity > 0
	}
	var big []int
	for _, c := range b.CPUs {
		kind := coreOf(c.Implementer, c.Part)
		slow := kind != nil && kind.Little
		if rated {
			slow = 4*c.Capacity < 3*best
		}
		if !slow {
			big = append(big, c.Cores...)
		}
	}
	if len(big) == b.Cores {
		return nil
	}
	slices.Sort(big)
	return big
}

func (b *Board) readMemInfo(path string) {
	eachField(path, func(key, value string) {
		kb, err := strconv.ParseInt(strings.TrimSuffix(value, " kB"), 10, 64)
		if err != nil || kb < 0 || kb > 1<<50 {
			return
		}
		switch key {
		case "MemTotal":
			b.MemTotal = kb << 10
		case "MemAvailable":
			b.MemAvailable = kb << 10
		}
	})
}

// eachField calls f for every "key : value" line of a file; a file that cannot be read has none.
func eachField(path string, f func(key, value string)) {
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer file.Close()
	lines := bufio.NewScanner(file) // a line above 64 KB ends it, and cpuinfo has none
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok {
			f(strings.TrimSpace(key), strings.TrimSpace(value))
		}
	}
}

// parseHex reads "0xd03"; what is not a number is 0, which no core has.
func parseHex(s string) int {
	n, err := strconv.ParseUint(s, 0, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

// String is the board in one line: "Raspberry Pi 4 Model B Rev 1.1, 4 x Cortex-A72, 906 MB (412 free), 4 KB pages".
func (b Board) String() string {
	parts := []string{}
	if b.Model != "" {
		parts = append(parts, b.Model)
	}
	named := 0
	for _, c := range b.CPUs {
		name := c.Name
		if name == "" && c.Part != 0 {
			name = fmt.Sprintf("part 0x%03x of implementer 0x%02x", c.Part, c.Implementer)
		}
		if name != "" {
			parts = append(parts, fmt.Sprintf("%d x %s", len(c.Cores), name))
			named += len(c.Cores)
		}
	}
	if named == 0 && b.Cores > 0 {
		parts = append(parts, fmt.Sprintf("cores: %d", b.Cores))
	}
	if b.MemTotal > 0 {
		parts = append(parts, fmt.Sprintf("%d MB (%d free)", b.MemTotal>>20, b.MemAvailable>>20))
	}
	if b.PageSize > 0 {
		parts = append(parts, fmt.Sprintf("%d KB pages", b.PageSize>>10))
	}
	return strings.Join(parts, ", ")
}
