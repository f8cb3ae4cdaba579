#include "textflag.h"

// Asks for the lines of so many bytes, more than none.
#define FETCH(PREFETCH) \
	MOVQ p+0(FP), SI;     \
	MOVQ bytes+8(FP), CX; \
loop:                     \
	PREFETCH (SI);        \
	ADDQ $64, SI;         \
	SUBQ $64, CX;         \
	JGT  loop;            \
	RET

// func fetch(p unsafe.Pointer, bytes int)
TEXT ·fetch(SB), NOSPLIT, $0-16
	FETCH(PREFETCHT1)

// func fetchFirst(p unsafe.Pointer, bytes int)
TEXT ·fetchFirst(SB), NOSPLIT, $0-16
	FETCH(PREFETCHT0)
