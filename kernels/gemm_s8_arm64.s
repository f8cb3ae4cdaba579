#include "textflag.h"
#include "neon_arm64.h"

// Int8 products on arm64, neon and dotprod: one tile of rows of x by one block of sixteen weight rows, and one row of x by
// all blocks. Weights are in N16K4: each 64 bytes, four registers, are sixteen rows by four k.
// Weights are loaded two registers at a time (for one row on dotprod, four), each while the products before its use are under way: for cores that issue in
// order. Nothing is loaded that is not used, so that nothing beyond the slices is touched.

// ---- neon, Armv8.0: SMULL on four k, SMLAL on the next four: two products at most 127*127 fit int16. SADALP adds pairs
// of them into int32: each weight row has two partial sums, added at the end.

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

// Eight weight rows by two rows of x: the first four k, in V0 and V1, by V10 and V12; the next four, in V2 and V3, by V11
// and V13; then into the sums. Products in V4-V9, V14, V15: eight instructions lie between a result and its use.
#define EIGHT1 \
	SMULL_8H(4, 0, 10);   \
	SMULL2_8H(5, 0, 10);  \
	SMULL_8H(6, 0, 12);   \
	SMULL2_8H(7, 0, 12);  \
	SMULL_8H(8, 1, 10);   \
	SMULL2_8H(9, 1, 10);  \
	SMULL_8H(14, 1, 12);  \
	SMULL2_8H(15, 1, 12)

#define EIGHT2 \
	SMLAL_8H(4, 2, 11);   \
	SMLAL2_8H(5, 2, 11);  \
	SMLAL_8H(6, 2, 13);   \
	SMLAL2_8H(7, 2, 13);  \
	SMLAL_8H(8, 3, 11);   \
	SMLAL2_8H(9, 3, 11);  \
	SMLAL_8H(14, 3, 13);  \
	SMLAL2_8H(15, 3, 13)

#define EIGHT3(a, b, c, d) \
	SADALP_4S(a, 4);   \
	SADALP_4S(a+1, 5); \
	SADALP_4S(c, 6);   \
	SADALP_4S(c+1, 7); \
	SADALP_4S(b, 8);   \
	SADALP_4S(b+1, 9); \
	SADALP_4S(d, 14);  \
	SADALP_4S(d+1, 15)

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
loop: // sixteen k, eight at a time: x in V10-V13, weights, four k of eight rows, in V0, V1 and V2, V3
	VLD2R.P 8(R2), [V10.S4, V11.S4]
	FLDPQ   (R4), (F0, F1)
	VLD2R.P 8(R3), [V12.S4, V13.S4]
	FLDPQ   64(R4), (F2, F3)
	EIGHT1
	FLDPQ   32(R4), (F0, F1)
	EIGHT2
	FLDPQ   96(R4), (F2, F3)
	EIGHT3(16, 18, 24, 26)
	EIGHT1
	FLDPQ   128(R4), (F0, F1)
	EIGHT2
	FLDPQ   192(R4), (F2, F3)
	VLD2R.P 8(R2), [V10.S4, V11.S4]
	VLD2R.P 8(R3), [V12.S4, V13.S4]
	EIGHT3(20, 22, 28, 30)
	EIGHT1
	FLDPQ   160(R4), (F0, F1)
	EIGHT2
	FLDPQ   224(R4), (F2, F3)
	EIGHT3(16, 18, 24, 26)
	EIGHT1
	EIGHT2
	EIGHT3(20, 22, 28, 30)
	SUBS    $16, R5
	ADD     $256, R4
	BGT     loop
	STORE16(V16, V17, V18, V19, V20, V21, V22, V23, R0)
	STORE16(V24, V25, V26, V27, V28, V29, V30, V31, R1)
	RET

// Sixteen weight rows by one row of x: the first four k, in V0-V3, by x; the next four, in V4-V7, by x; then into the sums.
// Products in V24-V31. The weights of the next eight k, at o, are loaded between, if there are any, and fetched at p.
#define SIXTEEN1(x) \
	SMULL_8H(24, 0, x);  \
	SMULL2_8H(25, 0, x); \
	SMULL_8H(26, 1, x);  \
	SMULL2_8H(27, 1, x); \
	SMULL_8H(28, 2, x);  \
	SMULL2_8H(29, 2, x); \
	SMULL_8H(30, 3, x);  \
	SMULL2_8H(31, 3, x)

#define SIXTEEN2A(x) \
	SMLAL_8H(24, 4, x);  \
	SMLAL2_8H(25, 4, x); \
	SMLAL_8H(26, 5, x);  \
	SMLAL2_8H(27, 5, x)

#define SIXTEEN2B(x) \
	SMLAL_8H(28, 6, x);  \
	SMLAL2_8H(29, 6, x); \
	SMLAL_8H(30, 7, x);  \
	SMLAL2_8H(31, 7, x)

#define SIXTEEN3A \
	SADALP_4S(16, 24); \
	SADALP_4S(17, 25); \
	SADALP_4S(18, 26); \
	SADALP_4S(19, 27)

#define SIXTEEN3B \
	SADALP_4S(20, 28); \
	SADALP_4S(21, 29); \
	SADALP_4S(22, 30); \
	SADALP_4S(23, 31)

#define SIXTEEN(xa, xb, p) \
	SIXTEEN1(xa);                \
	PRFM  p(R4), PLDL1STRM;      \
	SIXTEEN2A(xb);               \
	SIXTEEN2B(xb);               \
	PRFM  p+64(R4), PLDL1STRM;   \
	SIXTEEN3A;                   \
	SIXTEEN3B

#define SIXTEENNEXT(xa, xb, p, o) \
	SIXTEEN1(xa);                \
	PRFM  p(R4), PLDL1STRM;      \
	FLDPQ (o)(R4), (F0, F1);     \
	SIXTEEN2A(xb);               \
	FLDPQ (o+32)(R4), (F2, F3);  \
	SIXTEEN2B(xb);               \
	PRFM  p+64(R4), PLDL1STRM;   \
	FLDPQ (o+64)(R4), (F4, F5);  \
	SIXTEEN3A;                   \
	FLDPQ (o+96)(R4), (F6, F7);  \
	SIXTEEN3B

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
	TBZ  $4, R5, loop
	// An odd number of sixteens: begin with the second half of a turn.
	ADD     $16, R5
	SUB     $256, R4
	VLD4R.P 16(R2), [V12.S4, V13.S4, V14.S4, V15.S4]
	FLDPQ   256(R4), (F0, F1)
	FLDPQ   288(R4), (F2, F3)
	FLDPQ   320(R4), (F4, F5)
	FLDPQ   352(R4), (F6, F7)
	B       half
loop: // 32 k, eight at a time: x in V8-V11 and V12-V15
	FLDPQ   (R4), (F0, F1)
	VLD4R.P 16(R2), [V8.S4, V9.S4, V10.S4, V11.S4]
	FLDPQ   32(R4), (F2, F3)
	FLDPQ   64(R4), (F4, F5)
	FLDPQ   96(R4), (F6, F7)
	SIXTEENNEXT(8, 9, 512, 128)
	VLD4R.P 16(R2), [V12.S4, V13.S4, V14.S4, V15.S4]
	SIXTEENNEXT(10, 11, 640, 256)
half:
	SIXTEENNEXT(12, 13, 768, 384)
	SIXTEEN(14, 15, 896)
	SUBS    $32, R5
	ADD     $512, R4
	BGT     loop
	STORE16(V16, V17, V18, V19, V20, V21, V22, V23, R0)
	SUBS    $16, R6
	BGT     block
	RET

// ---- dotprod: SDOT of four registers with four k of x by element.

// Four weight rows, in w, by four rows of x, V8-V11, element i. Sums in a, a+4, a+8, a+12.
#define DOT4(i, w, a) \
	SDOT_4S(a, w, 8, i);    \
	SDOT_4S(a+4, w, 9, i);  \
	SDOT_4S(a+8, w, 10, i); \
	SDOT_4S(a+12, w, 11, i)

// Four k of a block, in wa-wd, by four rows of x, V8-V11, element i. Sums V16-V31, row by row. FOUR4NEXT loads the next four
// k, at o, into f-h and j between the products.
#define FOUR4(i, wa, wb, wc, wd) \
	DOT4(i, wa, 16); \
	DOT4(i, wb, 17); \
	DOT4(i, wc, 18); \
	DOT4(i, wd, 19)

#define FOUR4NEXT(i, wa, wb, wc, wd, o, f, g, h, j) \
	DOT4(i, wa, 16);          \
	FLDPQ (o)(R4), (f, g);    \
	DOT4(i, wb, 17);          \
	FLDPQ (o+32)(R4), (h, j); \
	DOT4(i, wc, 18);          \
	DOT4(i, wd, 19)

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
	FMOVQ.P 16(R8), F8
	FLDPQ   (R4), (F0, F1)
	FMOVQ.P 16(R9), F9
	FLDPQ   32(R4), (F2, F3)
	FMOVQ.P 16(R10), F10
	FMOVQ.P 16(R11), F11
	FOUR4NEXT(0, 0, 1, 2, 3, 64, F4, F5, F6, F7)
	FOUR4NEXT(1, 4, 5, 6, 7, 128, F0, F1, F2, F3)
	FOUR4NEXT(2, 0, 1, 2, 3, 192, F4, F5, F6, F7)
	FOUR4(3, 4, 5, 6, 7)
	SUBS    $16, R5
	ADD     $256, R4
	BGT     loop
	VST1  [V16.S4, V17.S4, V18.S4, V19.S4], (R0)
	VST1  [V20.S4, V21.S4, V22.S4, V23.S4], (R12)
	VST1  [V24.S4, V25.S4, V26.S4, V27.S4], (R13)
	VST1  [V28.S4, V29.S4, V30.S4, V31.S4], (R14)
	RET

// Four k of a block, in wa-wd, by one row of x, x, element i, into four sums.
#define FOUR1(i, wa, wb, wc, wd, x, a, b, c, d) \
	SDOT_4S(a, wa, x, i); \
	SDOT_4S(b, wb, x, i); \
	SDOT_4S(c, wc, x, i); \
	SDOT_4S(d, wd, x, i)

// SINGLE is FOUR1 that loads one register of the next four k, at o, beside each product.
#define SINGLE(i, wa, wb, wc, wd, x, a, b, c, d, o, f, g, h, j) \
	SDOT_4S(a, wa, x, i); \
	FMOVQ (o)(R4), f;     \
	SDOT_4S(b, wb, x, i); \
	FMOVQ (o+16)(R4), g;  \
	SDOT_4S(c, wc, x, i); \
	FMOVQ (o+32)(R4), h;  \
	SDOT_4S(d, wd, x, i); \
	FMOVQ (o+48)(R4), j

// Sixteen k from o on, with x in register x, weights in V0-V3 and V4-V7 by turns: TURN loads the first of the next sixteen,
// TURNEND does not. Even and odd fours of k have sums of their own, to hide the latency.
#define TURN3(o, x) \
	SINGLE(0, 0, 1, 2, 3, x, 16, 17, 18, 19, o+64, F4, F5, F6, F7);  \
	SINGLE(1, 4, 5, 6, 7, x, 20, 21, 22, 23, o+128, F0, F1, F2, F3); \
	SINGLE(2, 0, 1, 2, 3, x, 16, 17, 18, 19, o+192, F4, F5, F6, F7)

#define TURN(o, x) \
	TURN3(o, x); \
	SINGLE(3, 4, 5, 6, 7, x, 20, 21, 22, 23, o+256, F0, F1, F2, F3)

#define TURNEND(o, x) \
	TURN3(o, x); \
	FOUR1(3, 4, 5, 6, 7, x, 20, 21, 22, 23)

// QUADS is TURN with loads of four registers, which take no longer than two of two, and QUADSEND is TURNEND.
#define LOW VLD1.P 64(R4), [V0.B16, V1.B16, V2.B16, V3.B16]
#define HIGH VLD1.P 64(R4), [V4.B16, V5.B16, V6.B16, V7.B16]

#define QUADS3(x) \
	HIGH;                                       \
	FOUR1(0, 0, 1, 2, 3, x, 16, 17, 18, 19);    \
	LOW;                                        \
	FOUR1(1, 4, 5, 6, 7, x, 20, 21, 22, 23);    \
	HIGH;                                       \
	FOUR1(2, 0, 1, 2, 3, x, 16, 17, 18, 19)

#define QUADS(x) \
	QUADS3(x); \
	LOW;       \
	FOUR1(3, 4, 5, 6, 7, x, 20, 21, 22, 23)

#define QUADSEND(x) \
	QUADS3(x); \
	FOUR1(3, 4, 5, 6, 7, x, 20, 21, 22, 23)

// One row of x by all blocks, one after another: 64 k a turn, entered where K is no multiple of 64 at its second, third or fourth
// quarter. Loads set the pace: beside the 68 registers that 64 products need, a prefetch a line would be 16 more, so there is one a
// turn, a page ahead, where the hardware's own stream has to begin anew. R8 is minus the k of the part of a turn that is left out, R7
// is K up to a multiple of 64.
#define PARTIAL \
	ANDS $48, R7, R8;    \
	SUB  $64, R8, R8;    \
	CSEL EQ, ZR, R8, R8; \
	SUB  R8, R7, R7

#define BLOCKSTART \
	MOVD R1, R2; \
	MOVD R7, R5; \
	ZERO(V16);   \
	ZERO(V17);   \
	ZERO(V18);   \
	ZERO(V19);   \
	ZERO(V20);   \
	ZERO(V21);   \
	ZERO(V22);   \
	ZERO(V23)

#define BLOCKEND(block) \
	VADD   V20.S4, V16.S4, V16.S4; \
	VADD   V21.S4, V17.S4, V17.S4; \
	VADD   V22.S4, V18.S4, V18.S4; \
	VADD   V23.S4, V19.S4, V19.S4; \
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0); \
	SUBS   $16, R6; \
	BGT    block

// func gemvS8DOT(acc *int32, x *int8, w *int8, n int, k int)
TEXT ·gemvS8DOT(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD x+8(FP), R1
	MOVD w+16(FP), R4
	MOVD n+24(FP), R6
	MOVD k+32(FP), R7
	PARTIAL
block:
	BLOCKSTART
	LOW
	FMOVQ.P 16(R2), F8
	CBZ     R8, whole
	CMP     $-32, R8
	BGT     quarter1
	BEQ     quarter2
	B       quarter3
loop:
	LOW
	FMOVQ.P 16(R2), F8
whole:
	PRFM    4096(R4), PLDL1STRM
	QUADS(8)
	FMOVQ.P 16(R2), F8
quarter1:
	QUADS(8)
	FMOVQ.P 16(R2), F8
quarter2:
	QUADS(8)
	FMOVQ.P 16(R2), F8
quarter3:
	QUADSEND(8)
	SUBS    $64, R5
	BGT     loop
	BLOCKEND(block)
	RET

// func gemvS8DOTA55(acc *int32, x *int8, w *int8, n int, k int)
//
// For the Cortex-A55, where a load of several registers takes longer than as many loads and nothing issues beside it. R9: bytes of weights
// of the part of a turn that is left out.
TEXT ·gemvS8DOTA55(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD x+8(FP), R1
	MOVD w+16(FP), R4
	MOVD n+24(FP), R6
	MOVD k+32(FP), R7
	PARTIAL
	LSL  $4, R8, R9
block:
	BLOCKSTART
	CBZ  R8, loop
	FLDPQ   (R4), (F0, F1)
	FMOVQ.P 16(R2), F8
	FLDPQ   32(R4), (F2, F3)
	ADD     R9, R4
	CMP     $-32, R8
	BGT     quarter1
	BEQ     quarter2
	B       quarter3
loop:
	FMOVQ   (R4), F0
	FMOVQ.P 16(R2), F8
	FMOVQ   16(R4), F1
	FMOVQ   32(R4), F2
	FMOVQ   48(R4), F3
	PRFM    4096(R4), PLDL1STRM
	TURN(0, 8)
	FMOVQ.P 16(R2), F8
quarter1:
	TURN(256, 8)
	FMOVQ.P 16(R2), F8
quarter2:
	TURN(512, 8)
	FMOVQ.P 16(R2), F8
quarter3:
	TURNEND(768, 8)
	SUBS    $64, R5
	ADD     $1024, R4
	BGT     loop
	BLOCKEND(block)
	RET
