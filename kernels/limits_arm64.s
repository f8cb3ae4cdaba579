#include "textflag.h"
#include "neon_arm64.h"

// What a core can do at most, for bench kernels: multiply-adds from registers alone, and reading alone.

#define EIGHT(op, d) \
	op(d);   \
	op(d+1); \
	op(d+2); \
	op(d+3); \
	op(d+4); \
	op(d+5); \
	op(d+6); \
	op(d+7)

#define FIRST(d) SMULL_8H(d, 0, 1)
#define SECOND(d) SMLAL_8H(d, 0, 1)
#define LOWERSUM(d) SADALP_4S(d+12, d)
#define UPPERSUM(d) SADALP_4S(d+20, d)
#define DOT(d) SDOT_4S(d, 0, 1, 0)
#define MATRIX(d) SMMLA_4S(d, 0, 1)

// func peakNEON(n int)
//
// n times 256 products, as the kernels of this set make them.
TEXT ·peakNEON(SB), NOSPLIT, $0-8
	MOVD n+0(FP), R0
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
loop:
	EIGHT(FIRST, 4)
	EIGHT(SECOND, 4)
	EIGHT(LOWERSUM, 4)
	EIGHT(FIRST, 4)
	EIGHT(SECOND, 4)
	EIGHT(UPPERSUM, 4)
	SUBS $1, R0
	BGT  loop
	RET

// func peakDOT(n int)
//
// n times 256 products.
TEXT ·peakDOT(SB), NOSPLIT, $0-8
	MOVD n+0(FP), R0
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
loop:
	EIGHT(DOT, 16)
	EIGHT(DOT, 24)
	SUBS $1, R0
	BGT  loop
	RET

// func peakI8MM(n int)
//
// n times 512 products.
TEXT ·peakI8MM(SB), NOSPLIT, $0-8
	MOVD n+0(FP), R0
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
loop:
	EIGHT(MATRIX, 16)
	EIGHT(MATRIX, 24)
	SUBS $1, R0
	BGT  loop
	RET

// func readNEON(p *int8, n int)
//
// n bytes, a multiple of 256 above 0.
TEXT ·readNEON(SB), NOSPLIT, $0-16
	MOVD p+0(FP), R0
	MOVD n+8(FP), R1
loop:
	FLDPQ (R0), (F0, F1)
	FLDPQ 32(R0), (F2, F3)
	FLDPQ 64(R0), (F4, F5)
	FLDPQ 96(R0), (F6, F7)
	FLDPQ 128(R0), (F0, F1)
	FLDPQ 160(R0), (F2, F3)
	FLDPQ 192(R0), (F4, F5)
	FLDPQ 224(R0), (F6, F7)
	ADD   $256, R0
	SUBS  $256, R1
	BGT   loop
	RET
