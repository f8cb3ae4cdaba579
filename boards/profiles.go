package boards

import (
	"slices"
	"strings"
)

// Profile is what is known of a board without having it at hand. The figures of caches are of data sheets and device trees.
type Profile struct {
	Name     string    `json:"name"`
	Title    string    `json:"title"`
	SoC      string    `json:"soc"`
	Models   []string  `json:"models"` // beginnings of what the firmware calls it (/proc/device-tree/model)
	Clusters []Cluster `json:"clusters"`
	L3       int       `json:"l3,omitempty"` // KB, shared by all cores
	RAM      []int     `json:"ram"`          // MB, as sold, ascending
	Free     Figure    `json:"free"`         // MB that programs have on an idle board with the least RAM
}

// Cluster is the cores of one kind.
type Cluster struct {
	Core  string `json:"core"` // a name in Cores
	Count int    `json:"count"`
	MHz   Figure `json:"mhz"`
	L1    int    `json:"l1"` // KB of data cache, each core
	L2    int    `json:"l2"` // KB: negative: so much for each core; 0: none that the cores may use
	Read  Figure `json:"read"`
}

// Profiles are the boards that are known, those of one maker together. Read is MB (10^6 bytes) a second from memory by one core; where
// only copying was measured it is twice that, since a copy moves each byte twice.
var Profiles = []Profile{
	{Name: "pi-zero", Title: "Raspberry Pi Zero (W)", SoC: "BCM2835", Models: []string{"Raspberry Pi Zero Rev", "Raspberry Pi Zero W"},
		Clusters: []Cluster{{"ARM1176", 1, measured(1000, "1niO"), 16, 0, estimate(860, "twice memcpy of sbc-bench 3Njz")}},
		RAM:      []int{512}, Free: measured(345, "1niO")},
	{Name: "pi-zero-2-w", Title: "Raspberry Pi Zero 2 W", SoC: "RP3A0 (BCM2710A1)", Models: []string{"Raspberry Pi Zero 2"},
		Clusters: []Cluster{{"Cortex-A53", 4, measured(1000, "3E85"), 32, 512, measured(2318, "3E85")}},
		RAM:      []int{512}, Free: measured(329, "3E85")},
	{Name: "pi-3b", Title: "Raspberry Pi 3 B", SoC: "BCM2837", Models: []string{"Raspberry Pi 3 Model B Rev"},
		Clusters: []Cluster{{"Cortex-A53", 4, measured(1200, "4hOP"), 32, 512, estimate(2220, "twice memcpy of sbc-bench 4hOP")}},
		RAM:      []int{1024}, Free: measured(796, "4hOP")},
	{Name: "pi-3b-plus", Title: "Raspberry Pi 3 B+", SoC: "BCM2837B0", Models: []string{"Raspberry Pi 3 Model B Plus"},
		Clusters: []Cluster{{"Cortex-A53", 4, measured(1400, "1iI5"), 32, 512, measured(2368, "1iI5")}},
		RAM:      []int{1024}, Free: measured(822, "1iI5")},
	{Name: "pi-4b", Title: "Raspberry Pi 4 B, 400", SoC: "BCM2711", Models: []string{"Raspberry Pi 4 Model B", "Raspberry Pi 400"},
		Clusters: []Cluster{{"Cortex-A72", 4, measured(1800, "3OBF"), 32, 1024, measured(4331, "3EgS")}},
		RAM:      []int{1024, 2048, 4096, 8192}, Free: measured(780, "3OBF")},
	{Name: "cm4", Title: "Raspberry Pi CM4", SoC: "BCM2711", Models: []string{"Raspberry Pi Compute Module 4"},
		Clusters: []Cluster{{"Cortex-A72", 4, estimate(1500, "data sheet"), 32, 1024, estimate(4331, "Pi 4 B at this clock, sbc-bench 3EgS")}},
		RAM:      []int{1024, 2048, 4096, 8192}, Free: estimate(780, "Pi 4 B of 1 GB, sbc-bench 3OBF")},
	{Name: "pi-5", Title: "Raspberry Pi 5, CM5", SoC: "BCM2712",
		Models:   []string{"Raspberry Pi 5", "Raspberry Pi Compute Module 5"},
		Clusters: []Cluster{{"Cortex-A76", 4, measured(2400, "8-NK"), 64, -512, measured(14877, "8-NK")}},
		L3:       2048, RAM: []int{1024, 2048, 4096, 8192, 16384}, Free: estimate(770, guess)},
	{Name: "orange-pi-zero-3", Title: "Orange Pi Zero 3", SoC: "Allwinner H618", Models: []string{"OrangePi Zero3", "Orange Pi Zero 3", "Orange Pi Zero3"},
		Clusters: []Cluster{{"Cortex-A53", 4, measured(1512, "4CPF"), 32, 1024, measured(2099, "4CPF")}},
		RAM:      []int{1024, 1536, 2048, 4096}, Free: estimate(775, "Orange Pi Zero 2W of 1 GB, sbc-bench 4Hd0")},
	{Name: "orange-pi-5", Title: "Orange Pi 5", SoC: "RK3588S", Models: []string{"Orange Pi 5"},
		Clusters: []Cluster{
			{"Cortex-A55", 4, measured(1800, "4D0a"), 32, -128, measured(7344, "4D0a")},
			{"Cortex-A76", 4, measured(2400, "4D0a"), 64, -512, measured(21395, "4D0a")}},
		L3: 3072, RAM: []int{4096, 8192, 16384, 32768}, Free: estimate(3584, "Rock 5C of 4 GB, sbc-bench 5pv8oh")},
	{Name: "rock-5b", Title: "Radxa Rock 5B", SoC: "RK3588", Models: []string{"Radxa ROCK 5B", "ROCK 5B"},
		Clusters: []Cluster{
			{"Cortex-A55", 4, measured(1830, "41BH"), 32, -128, estimate(7261, "Rock 5C, sbc-bench 5pv8oh")},
			{"Cortex-A76", 4, measured(2350, "41BH"), 64, -512, estimate(19981, "Rock 5C, sbc-bench 5pv8oh")}},
		L3: 3072, RAM: []int{4096, 8192, 16384, 32768}, Free: estimate(3584, "Rock 5C of 4 GB, sbc-bench 5pv8oh")},
	{Name: "radxa-zero-3w", Title: "Radxa Zero 3W", SoC: "RK3566", Models: []string{"Radxa ZERO 3"},
		Clusters: []Cluster{{"Cortex-A55", 4, measured(1600, "4L4k"), 32, 0, measured(4961, "4L4k")}},
		L3:       512, RAM: []int{1024, 2048, 4096, 8192}, Free: measured(781, "4L4k")},
	{Name: "nanopi-neo", Title: "NanoPi NEO", SoC: "Allwinner H3", Models: []string{"FriendlyARM NanoPi NEO", "FriendlyElec NanoPi NEO"},
		Clusters: []Cluster{{"Cortex-A7", 4, estimate(1300, "data sheet"), 32, 512, measured(1082, "4MBf")}},
		RAM:      []int{256, 512}, Free: estimate(118, guess)},
	{Name: "nanopi-r5s", Title: "NanoPi R5S", SoC: "RK3568", Models: []string{"FriendlyElec NanoPi R5S"},
		Clusters: []Cluster{{"Cortex-A55", 4, measured(1960, "4jfZ"), 32, 0, estimate(5980, "twice memcpy of sbc-bench 4jfZ")}},
		L3:       512, RAM: []int{2048, 4096}, Free: estimate(1641, guess)},
	{Name: "nanopi-m4v2", Title: "NanoPi M4V2", SoC: "RK3399", Models: []string{"FriendlyElec NanoPi M4 Ver2"},
		Clusters: []Cluster{
			{"Cortex-A53", 4, measured(1512, "3MAK"), 32, 512, estimate(2660, "Orange Pi 4, sbc-bench 4Kau")},
			{"Cortex-A72", 2, measured(2016, "3MAK"), 32, 1024, estimate(7347, "Orange Pi 4, sbc-bench 4Kau")}},
		RAM: []int{4096}, Free: measured(3584, "3MAK")},
	{Name: "khadas-vim3", Title: "Khadas VIM3", SoC: "Amlogic A311D", Models: []string{"Khadas VIM3"},
		Clusters: []Cluster{
			{"Cortex-A53", 2, measured(2015, "4o1A"), 32, 256, measured(3675, "4o1A")},
			{"Cortex-A73", 4, measured(2400, "4o1A"), 64, 1024, measured(9925, "4o1A")}},
		RAM: []int{2048, 4096}, Free: estimate(1641, guess)},
	{Name: "odroid-n2-plus", Title: "ODROID-N2+", SoC: "Amlogic S922X", Models: []string{"Hardkernel ODROID-N2Plus"},
		Clusters: []Cluster{
			{"Cortex-A53", 2, measured(2015, "4rWn"), 32, 256, measured(3510, "4rWn")},
			{"Cortex-A73", 4, measured(2400, "4rWn"), 64, 1024, measured(9398, "4rWn")}},
		RAM: []int{2048, 4096}, Free: estimate(1641, guess)},
	{Name: "le-potato", Title: "Le Potato", SoC: "Amlogic S905X", Models: []string{"Libre Computer AML-S905X-CC", "Libre Technology CC"},
		Clusters: []Cluster{{"Cortex-A53", 4, measured(1410, "1iSQ"), 32, 512, estimate(3620, "twice memcpy of sbc-bench 1iSQ")}},
		RAM:      []int{1024, 2048}, Free: estimate(770, guess)},
	{Name: "beagleplay", Title: "BeaglePlay", SoC: "TI AM6254", Models: []string{"BeagleBoard.org BeaglePlay", "BeagleBoard BeaglePlay"},
		Clusters: []Cluster{{"Cortex-A53", 4, estimate(1400, "data sheet"), 32, 512, estimate(3200, "DDR4-1600, 16 bits wide")}},
		RAM:      []int{2048}, Free: estimate(1641, guess)},
	{Name: "jetson-nano", Title: "NVIDIA Jetson Nano", SoC: "Tegra X1", Models: []string{"NVIDIA Jetson Nano"},
		Clusters: []Cluster{{"Cortex-A57", 4, measured(1479, "4rLX"), 32, 2048, measured(4818, "4rLX")}},
		RAM:      []int{2048, 4096}, Free: measured(1536, "3Ufc")},
	{Name: "orion-o6", Title: "Radxa Orion O6", SoC: "Cix CD8180", Models: []string{"Radxa Orion O6"},
		Clusters: []Cluster{
			{"Cortex-A520", 4, measured(1800, "88LE"), 32, 0, measured(10925, "88LE")},
			{"Cortex-A720", 8, measured(2500, "88LE"), 64, -512, measured(24088, "88LE")}},
		L3: 12288, RAM: []int{8192, 16384, 32768, 65536}, Free: estimate(6863, guess)},
}

// guess is a rule that the boards whose free memory was measured keep within 7 %.
const guess = "85 % of the RAM, less 100 MB"

// Find is the profile of that name, nil if there is none.
func Find(name string) *Profile {
	for i := range Profiles {
		if Profiles[i].Name == name {
			return &Profiles[i]
		}
	}
	return nil
}

// Profile is that of a machine by the name that its firmware gives it, nil if it is not known.
func (b *Board) Profile() *Profile {
	for i := range Profiles {
		if slices.ContainsFunc(Profiles[i].Models, func(m string) bool { return strings.HasPrefix(strings.ToLower(b.Model), strings.ToLower(m)) }) {
			return &Profiles[i]
		}
	}
	return nil
}
