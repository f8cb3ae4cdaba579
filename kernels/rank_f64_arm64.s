#include "textflag.h"
#include "neon_arm64.h"

// Exact distances of eight float32 rows from a float64 vector, column after column: two rows a register, V28-V31 their sums.

// PAIR loads four columns of two rows: a and b become c, columns 0 and 1 of both, and d, columns 2 and 3.
#define PAIR(ra, rb, a, b, c, d) \
	VLD1.P 16(ra), [a.S4];   \
	VLD1.P 16(rb), [b.S4];   \
	VZIP1  b.S4, a.S4, c.S4; \
	VZIP2  b.S4, a.S4, d.S4

// WIDEN makes float64 of the two at t+2: columns 0 to 3 in t, t+1, t+4 and t+5. OVER applies op to these and the four of x
// in V24-V27, or to themselves; SUM adds them to s in order.
#define WIDEN(t) \
	FCVTL_2D(t, t+2);    \
	FCVTL2_2D(t+1, t+2); \
	FCVTL_2D(t+4, t+3);  \
	FCVTL2_2D(t+5, t+3)

#define OVER(op, t) \
	op(t, t, 24);     \
	op(t+1, t+1, 25); \
	op(t+4, t+4, 26); \
	op(t+5, t+5, 27)

#define SQUARE(t) \
	FMUL_2D(t, t, t);       \
	FMUL_2D(t+1, t+1, t+1); \
	FMUL_2D(t+4, t+4, t+4); \
	FMUL_2D(t+5, t+5, t+5)

#define SUM(s, t) \
	FADD_2D(s, s, t);   \
	FADD_2D(s, s, t+1); \
	FADD_2D(s, s, t+4); \
	FADD_2D(s, s, t+5)

#define RANKARGS \
	MOVD out+0(FP), R0;        \
	MOVD x+8(FP), R2;          \
	MOVD n+16(FP), R3;         \
	MOVD rows+24(FP), R1;      \
	MOVD 0(R1), R4;            \
	MOVD 24(R1), R5;           \
	MOVD 48(R1), R6;           \
	MOVD 72(R1), R7;           \
	MOVD 96(R1), R8;           \
	MOVD 120(R1), R9;          \
	MOVD 144(R1), R10;         \
	MOVD 168(R1), R11;         \
	VEOR V28.B16, V28.B16, V28.B16; \
	VEOR V29.B16, V29.B16, V29.B16; \
	VEOR V30.B16, V30.B16, V30.B16; \
	VEOR V31.B16, V31.B16, V31.B16

#define FOURCOLUMNS \
	VLD4R.P 32(R2), [V24.D2, V25.D2, V26.D2, V27.D2]; \
	PAIR(R4, R5, V0, V1, V2, V3);       \
	PAIR(R6, R7, V6, V7, V8, V9);       \
	PAIR(R8, R9, V12, V13, V14, V15);   \
	PAIR(R10, R11, V18, V19, V20, V21); \
	WIDEN(0);                           \
	WIDEN(6);                           \
	WIDEN(12);                          \
	WIDEN(18)

#define SUMS \
	SUM(28, 0);  \
	SUM(29, 6);  \
	SUM(30, 12); \
	SUM(31, 18)

// func squares8F64NEON(out *[8]float64, x *float64, n int, rows *[8][]float32)
TEXT ·squares8F64NEON(SB), NOSPLIT, $0-32
	RANKARGS
loop:
	FOURCOLUMNS
	OVER(FSUB_2D, 0)
	OVER(FSUB_2D, 6)
	OVER(FSUB_2D, 12)
	OVER(FSUB_2D, 18)
	SQUARE(0)
	SQUARE(6)
	SQUARE(12)
	SQUARE(18)
	SUMS
	SUBS $4, R3
	BGT  loop
	VST1 [V28.D2, V29.D2, V30.D2, V31.D2], (R0)
	RET

// func absolute8F64NEON(out *[8]float64, x *float64, n int, rows *[8][]float32)
TEXT ·absolute8F64NEON(SB), NOSPLIT, $0-32
	RANKARGS
loop:
	FOURCOLUMNS
	OVER(FABD_2D, 0)
	OVER(FABD_2D, 6)
	OVER(FABD_2D, 12)
	OVER(FABD_2D, 18)
	SUMS
	SUBS $4, R3
	BGT  loop
	VST1 [V28.D2, V29.D2, V30.D2, V31.D2], (R0)
	RET
