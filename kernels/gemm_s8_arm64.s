#include "textflag.h"
#include "neon_arm64.h"

// Int8 products on arm64: one tile of rows of x by one block of sixteen weight rows, and one row of x by all blocks.
// Weights are in N16K4: each 64 bytes, four registers, are sixteen rows by four k.
// Loads have immediate offsets: with post-increment ones the Neoverse N1 and its like run at half the speed. The last group of
// a loop loads its first weights again: a load within bounds that nothing uses, so that one macro serves all groups.

// ---- neon, Armv8.0: SMULL on four k, SMLAL on the next four: two products at most 127*127 fit int16. SADALP adds pairs
// of them into int32: each weight row has two partial sums, added at the end.

// Four weight rows, of four k in wa and the next in wb, by two rows of x, broadcast in xa, xb and ya, yb; products in
// V8, V9, V14, V15. Four instructions lie between a result and its use, and the loads of the next weights, f at o and g at
// p, between the products: for cores that issue in order.
#define QUAD(wa, wb, xa, xb, ya, yb, a, b, c, d, o, f, p, g) \
	SMULL_8H(8, wa, xa);   \
	SMULL2_8H(9, wa, xa);  \
	SMULL_8H(14, wa, ya);  \
	SMULL2_8H(15, wa, ya); \
	FMOVQ o(R4), f;        \
	SMLAL_8H(8, wb, xb);   \
	SMLAL2_8H(9, wb, xb);  \
	SMLAL_8H(14, wb, yb);  \
	SMLAL2_8H(15, wb, yb); \
	FMOVQ p(R4), g;        \
	SADALP_4S(a, 8);       \
	SADALP_4S(b, 9);       \
	SADALP_4S(c, 14);      \
	SADALP_4S(d, 15)

// STORE16 adds the partial sums in eight registers and stores sixteen int32 at (p).
#define STORE16(a, b, c, d, e, f, g, h, p) \
	VADDP b.S4, a.S4, a.S4; \
	VADDP d.S4, c.S4, c.S4; \
	VADDP f.S4, e.S4, e.S4; \
	VADDP h.S4, g.S4, g.S4; \
	VST1.P [a.S4], 16(p);   \
	VST1.P [c.S4], 16(p);   \
	VST1.P [e.S4], 16(p);   \
	VST1.P [g.S4], 16(p)

#define ZERO(v) VEOR v.B16, v.B16, v.B16

// func tileS8NEON(acc *int32, accStride int, x *int8, xStride int, w *int8, k int)
//
// Two rows of x by one block.
TEXT ·tileS8NEON(SB), NOSPLIT, $0-48
	MOVD acc+0(FP), R0
	MOVD accStride+8(FP), R1
	MOVD x+16(FP), R2
	MOVD xStride+24(FP), R3
	MOVD w+32(FP), R4
	MOVD k+40(FP), R5
	ADD  R0, R1, R1 // sums of the second row
	ADD  R2, R3, R3 // x of the second row
	ZERO(V16)
	ZERO(V17)
	ZERO(V18)
	ZERO(V19)
	ZERO(V20)
	ZERO(V21)
	ZERO(V22)
	ZERO(V23)
	ZERO(V24)
	ZERO(V25)
	ZERO(V26)
	ZERO(V27)
	ZERO(V28)
	ZERO(V29)
	ZERO(V30)
	ZERO(V31)
loop: // sixteen k: x of the first eight in V10-V13, of the others in V4-V7; weights in V0, V1 and V2, V3 by turns
	FMOVQ (R2), F5
	FMOVQ (R3), F7
	FMOVQ (R4), F0
	VDUP  V5.S[0], V10.S4
	FMOVQ 64(R4), F1
	VDUP  V7.S[0], V12.S4
	ADD   $16, R2
	VDUP  V5.S[1], V11.S4
	ADD   $16, R3
	VDUP  V7.S[1], V13.S4
	QUAD(0, 1, 10, 11, 12, 13, 16, 17, 24, 25, 16, F2, 80, F3)
	VDUP  V5.S[2], V4.S4
	QUAD(2, 3, 10, 11, 12, 13, 18, 19, 26, 27, 32, F0, 96, F1)
	VDUP  V7.S[2], V6.S4
	QUAD(0, 1, 10, 11, 12, 13, 20, 21, 28, 29, 48, F2, 112, F3)
	VDUP  V5.S[3], V5.S4
	QUAD(2, 3, 10, 11, 12, 13, 22, 23, 30, 31, 128, F0, 192, F1)
	VDUP  V7.S[3], V7.S4
	QUAD(0, 1, 4, 5, 6, 7, 16, 17, 24, 25, 144, F2, 208, F3)
	QUAD(2, 3, 4, 5, 6, 7, 18, 19, 26, 27, 160, F0, 224, F1)
	QUAD(0, 1, 4, 5, 6, 7, 20, 21, 28, 29, 176, F2, 240, F3)
	SUBS  $16, R5
	QUAD(2, 3, 4, 5, 6, 7, 22, 23, 30, 31, 0, F0, 64, F1)
	ADD   $256, R4
	BGT   loop
	STORE16(V16, V17, V18, V19, V20, V21, V22, V23, R0)
	STORE16(V24, V25, V26, V27, V28, V29, V30, V31, R1)
	RET

// Eight weight rows by one row of x: of four k in wa, va and the next in wb, vb. Loads the next weights as QUAD does.
#define PAIR(wa, wb, va, vb, xa, xb, a, b, c, d, o, f, p, g, q, h, r, i) \
	SMULL_8H(24, wa, xa);  \
	FMOVQ o(R4), f;        \
	SMULL2_8H(25, wa, xa); \
	SMULL_8H(26, va, xa);  \
	SMULL2_8H(27, va, xa); \
	FMOVQ p(R4), g;        \
	SMLAL_8H(24, wb, xb);  \
	SMLAL2_8H(25, wb, xb); \
	SMLAL_8H(26, vb, xb);  \
	FMOVQ q(R4), h;        \
	SMLAL2_8H(27, vb, xb); \
	SADALP_4S(a, 24);      \
	SADALP_4S(b, 25);      \
	FMOVQ r(R4), i;        \
	SADALP_4S(c, 26);      \
	SADALP_4S(d, 27)

// func gemvS8NEON(acc *int32, x *int8, w *int8, n int, k int)
//
// One row of x by all blocks, one after another: the weights are one sequential stream, fetched 512 bytes ahead.
TEXT ·gemvS8NEON(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD x+8(FP), R1
	MOVD w+16(FP), R4
	MOVD n+24(FP), R6
	MOVD k+32(FP), R7
block:
	MOVD R1, R2
	MOVD R7, R5
	ZERO(V16)
	ZERO(V17)
	ZERO(V18)
	ZERO(V19)
	ZERO(V20)
	ZERO(V21)
	ZERO(V22)
	ZERO(V23)
loop: // sixteen k: weights in V0-V3 and V4-V7 by turns
	FMOVQ (R2), F8
	FMOVQ (R4), F0
	FMOVQ 64(R4), F1
	FMOVQ 16(R4), F2
	FMOVQ 80(R4), F3
	VDUP  V8.S[0], V10.S4
	VDUP  V8.S[1], V11.S4
	VDUP  V8.S[2], V12.S4
	VDUP  V8.S[3], V13.S4
	PRFM  512(R4), PLDL1STRM
	PAIR(0, 1, 2, 3, 10, 11, 16, 17, 18, 19, 32, F4, 96, F5, 48, F6, 112, F7)
	PRFM  576(R4), PLDL1STRM
	PAIR(4, 5, 6, 7, 10, 11, 20, 21, 22, 23, 128, F0, 192, F1, 144, F2, 208, F3)
	PRFM  640(R4), PLDL1STRM
	PAIR(0, 1, 2, 3, 12, 13, 16, 17, 18, 19, 160, F4, 224, F5, 176, F6, 240, F7)
	PRFM  704(R4), PLDL1STRM
	ADD   $16, R2
	SUBS  $16, R5
	PAIR(4, 5, 6, 7, 12, 13, 20, 21, 22, 23, 0, F0, 64, F1, 16, F2, 80, F3)
	ADD   $256, R4
	BGT   loop
	STORE16(V16, V17, V18, V19, V20, V21, V22, V23, R0)
	SUBS  $16, R6
	BGT   block
	RET

// ---- dotprod: SDOT of four registers with four k of x by element.

// Four k of a block, in wa-wd, by four rows of x, V8-V11, element i. Sums V16-V31, row by row. Between the products, the
// next four k, from o on, are loaded into f-h and j.
#define FOUR4(i, wa, wb, wc, wd, o, f, g, h, j) \
	SDOT_4S(16, wa, 8, i);  \
	SDOT_4S(20, wa, 9, i);  \
	FMOVQ (o)(R4), f;       \
	SDOT_4S(24, wa, 10, i); \
	SDOT_4S(28, wa, 11, i); \
	SDOT_4S(17, wb, 8, i);  \
	SDOT_4S(21, wb, 9, i);  \
	FMOVQ (o+16)(R4), g;    \
	SDOT_4S(25, wb, 10, i); \
	SDOT_4S(29, wb, 11, i); \
	SDOT_4S(18, wc, 8, i);  \
	SDOT_4S(22, wc, 9, i);  \
	FMOVQ (o+32)(R4), h;    \
	SDOT_4S(26, wc, 10, i); \
	SDOT_4S(30, wc, 11, i); \
	SDOT_4S(19, wd, 8, i);  \
	SDOT_4S(23, wd, 9, i);  \
	FMOVQ (o+48)(R4), j;    \
	SDOT_4S(27, wd, 10, i); \
	SDOT_4S(31, wd, 11, i)

// func tileS8DOT(acc *int32, accStride int, x *int8, xStride int, w *int8, k int, rows int)
//
// Up to four rows of x by one block. Rows that are not there repeat the last one.
TEXT ·tileS8DOT(SB), NOSPLIT, $0-56
	MOVD acc+0(FP), R0
	MOVD accStride+8(FP), R1
	MOVD x+16(FP), R8
	MOVD xStride+24(FP), R3
	MOVD w+32(FP), R4
	MOVD k+40(FP), R5
	MOVD rows+48(FP), R6

	// R8-R11: x of each row. R0, R12-R14: where its sums go.
	MOVD R8, R9
	MOVD R0, R12
	CMP  $2, R6
	BLT  row2
	ADD  R3, R9
	ADD  R1, R12
row2:
	MOVD R9, R10
	MOVD R12, R13
	CMP  $3, R6
	BLT  row3
	ADD  R3, R10
	ADD  R1, R13
row3:
	MOVD R10, R11
	MOVD R13, R14
	CMP  $4, R6
	BLT  zero
	ADD  R3, R11
	ADD  R1, R14
zero:
	ZERO(V16)
	ZERO(V17)
	ZERO(V18)
	ZERO(V19)
	ZERO(V20)
	ZERO(V21)
	ZERO(V22)
	ZERO(V23)
	ZERO(V24)
	ZERO(V25)
	ZERO(V26)
	ZERO(V27)
	ZERO(V28)
	ZERO(V29)
	ZERO(V30)
	ZERO(V31)
loop: // sixteen k
	FMOVQ (R8), F8
	FMOVQ (R4), F0
	FMOVQ (R9), F9
	FMOVQ 16(R4), F1
	FMOVQ (R10), F10
	FMOVQ 32(R4), F2
	FMOVQ (R11), F11
	FMOVQ 48(R4), F3
	FOUR4(0, 0, 1, 2, 3, 64, F4, F5, F6, F7)
	ADD   $16, R8
	ADD   $16, R9
	FOUR4(1, 4, 5, 6, 7, 128, F0, F1, F2, F3)
	ADD   $16, R10
	ADD   $16, R11
	FOUR4(2, 0, 1, 2, 3, 192, F4, F5, F6, F7)
	SUBS  $16, R5
	FOUR4(3, 4, 5, 6, 7, 0, F0, F1, F2, F3)
	ADD   $256, R4
	BGT   loop
	VST1  [V16.S4, V17.S4, V18.S4, V19.S4], (R0)
	VST1  [V20.S4, V21.S4, V22.S4, V23.S4], (R12)
	VST1  [V24.S4, V25.S4, V26.S4, V27.S4], (R13)
	VST1  [V28.S4, V29.S4, V30.S4, V31.S4], (R14)
	RET

// Four k of a block, in wa-wd, by one row of x, V8, element i, into four sums of their own. Loads ahead as FOUR4 does:
// a Cortex-A55 takes one load of sixteen bytes beside each product, but stalls on pairs of them.
#define FOUR1(i, wa, wb, wc, wd, a, b, c, d, o, f, g, h, j) \
	FMOVQ (o)(R4), f;     \
	SDOT_4S(a, wa, 8, i); \
	FMOVQ (o+16)(R4), g;  \
	SDOT_4S(b, wb, 8, i); \
	FMOVQ (o+32)(R4), h;  \
	SDOT_4S(c, wc, 8, i); \
	FMOVQ (o+48)(R4), j;  \
	SDOT_4S(d, wd, 8, i)

// func gemvS8DOT(acc *int32, x *int8, w *int8, n int, k int)
//
// One row of x by all blocks, one after another. V16-V31: sums of each k/4 % 4 apart, to hide the latency.
TEXT ·gemvS8DOT(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD x+8(FP), R1
	MOVD w+16(FP), R4
	MOVD n+24(FP), R6
	MOVD k+32(FP), R7
block:
	MOVD R1, R2
	MOVD R7, R5
	ZERO(V16)
	ZERO(V17)
	ZERO(V18)
	ZERO(V19)
	ZERO(V20)
	ZERO(V21)
	ZERO(V22)
	ZERO(V23)
	ZERO(V24)
	ZERO(V25)
	ZERO(V26)
	ZERO(V27)
	ZERO(V28)
	ZERO(V29)
	ZERO(V30)
	ZERO(V31)
loop: // sixteen k
	FMOVQ (R2), F8
	FMOVQ (R4), F0
	FMOVQ 16(R4), F1
	FMOVQ 32(R4), F2
	FMOVQ 48(R4), F3
	PRFM  1024(R4), PLDL1STRM
	FOUR1(0, 0, 1, 2, 3, 16, 17, 18, 19, 64, F4, F5, F6, F7)
	PRFM  1088(R4), PLDL1STRM
	FOUR1(1, 4, 5, 6, 7, 20, 21, 22, 23, 128, F0, F1, F2, F3)
	PRFM  1152(R4), PLDL1STRM
	FOUR1(2, 0, 1, 2, 3, 24, 25, 26, 27, 192, F4, F5, F6, F7)
	PRFM  1216(R4), PLDL1STRM
	ADD   $16, R2
	SUBS  $16, R5
	SDOT_4S(28, 4, 8, 3)
	SDOT_4S(29, 5, 8, 3)
	SDOT_4S(30, 6, 8, 3)
	SDOT_4S(31, 7, 8, 3)
	ADD   $256, R4
	BGT   loop
	VADD  V20.S4, V16.S4, V16.S4
	VADD  V21.S4, V17.S4, V17.S4
	VADD  V22.S4, V18.S4, V18.S4
	VADD  V23.S4, V19.S4, V19.S4
	VADD  V28.S4, V24.S4, V24.S4
	VADD  V29.S4, V25.S4, V25.S4
	VADD  V30.S4, V26.S4, V26.S4
	VADD  V31.S4, V27.S4, V27.S4
	VADD  V24.S4, V16.S4, V16.S4
	VADD  V25.S4, V17.S4, V17.S4
	VADD  V26.S4, V18.S4, V18.S4
	VADD  V27.S4, V19.S4, V19.S4
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	SUBS  $16, R6
	BGT   block
	RET
