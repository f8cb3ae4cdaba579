module github.com/edge-infer/edge-infer

go 1.24.0

require (
	// Curves on a terminal: how long models remember.
	github.com/guptarohit/asciigraph v0.10.0
	// zstd as others write and read it, for the tests of our own decoder; no part of the program.
	github.com/klauspost/compress v1.19.2
	// Which instruction sets the CPU has, and on ARM its part number: the choice of kernels at start-up.
	github.com/klauspost/cpuid/v2 v2.4.2
	// The command line: subcommands, flags, help, shell completion.
	github.com/spf13/cobra v1.10.2
	// cobra's flags, walked to offer the nearest name of a mistyped one.
	github.com/spf13/pflag v1.0.9
	// float32 vectors for the float reference, which tests and recipes use; no part of the program.
	github.com/viterin/vek v0.4.3
	// mmap, madvise, affinity, limits: what package syscall lacks or has frozen.
	golang.org/x/sys v0.41.0
)

require (
	github.com/chewxy/math32 v1.10.1 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/viterin/partial v1.1.0 // indirect
	golang.org/x/exp v0.0.0-20230817173708-d852ddb80c63 // indirect
)
