#include "textflag.h"

// func fetch(p unsafe.Pointer, bytes int)
//
// Asks for the lines of so many bytes, more than none.
TEXT ·fetch(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), SI
	MOVQ bytes+8(FP), CX
loop:
	PREFETCHT1 (SI)
	ADDQ $64, SI
	SUBQ $64, CX
	JGT  loop
	RET
