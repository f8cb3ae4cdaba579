#include "textflag.h"

// func fetch(p *float32, n int)
//
// Asks for the lines of n floats, n above 0.
TEXT ·fetch(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), SI
	MOVQ n+8(FP), CX
loop:
	PREFETCHT1 (SI)
	ADDQ $64, SI
	SUBQ $16, CX
	JGT  loop
	RET
