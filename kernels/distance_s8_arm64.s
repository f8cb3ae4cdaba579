#include "textflag.h"
#include "neon_arm64.h"
#include "quads_arm64.h"

// The operations of nearest neighbours: differences of one row of x to all weight rows, in N16K4 (each 64 bytes, four
// registers, are sixteen rows by four k), and which rows may be near enough.

// STEP16 goes through sixteen k of a block: x broadcast in V8-V11, weights in V0-V3 and V4-V7 by turns, replaced by their
// differences to x, which op takes into V16-V19. The next weights are loaded meanwhile, for cores that issue in order.
#define DIFFERENCES(w, x) \
	SABD_16B(w, w, x);     \
	SABD_16B(w+1, w+1, x); \
	SABD_16B(w+2, w+2, x); \
	SABD_16B(w+3, w+3, x)

#define TAKE(op, w) \
	op(16, w);   \
	op(17, w+1); \
	op(18, w+2); \
	op(19, w+3)

#define STEP16(op) \
	FLDPQ   (R4), (F0, F1);    \
	VLD4R.P 16(R2), [V8.S4, V9.S4, V10.S4, V11.S4]; \
	FLDPQ   32(R4), (F2, F3);  \
	DIFFERENCES(0, 8);         \
	FLDPQ   64(R4), (F4, F5);  \
	FLDPQ   96(R4), (F6, F7);  \
	TAKE(op, 0);               \
	DIFFERENCES(4, 9);         \
	FLDPQ   128(R4), (F0, F1); \
	FLDPQ   160(R4), (F2, F3); \
	TAKE(op, 4);               \
	DIFFERENCES(0, 10);        \
	FLDPQ   192(R4), (F4, F5); \
	FLDPQ   224(R4), (F6, F7); \
	TAKE(op, 0);               \
	ADD     $256, R4;          \
	DIFFERENCES(4, 11);        \
	TAKE(op, 4)

#define SUM(a, w) UADALP_8H(a, w)
#define SUMDOT(a, w) UDOT_4S(a, w, 28)
#define LARGEST(a, w) UMAX_16B(a, a, w)

#define ZERO4(a, b, c, d) \
	VEOR a.B16, a.B16, a.B16; \
	VEOR b.B16, b.B16, b.B16; \
	VEOR c.B16, c.B16, c.B16; \
	VEOR d.B16, d.B16, d.B16

#define ROWARGS \
	MOVD acc+0(FP), R0; \
	MOVD x+8(FP), R1;   \
	MOVD w+16(FP), R4;  \
	MOVD n+24(FP), R6;  \
	MOVD k+32(FP), R7

// func l1RowNEON(acc *int32, x *int8, w *int8, n int, k int)
//
// Sums of pairs in 16 bits, V16-V19: 128 of at most 508 fit; then into V20-V23, one weight row a lane.
TEXT ·l1RowNEON(SB), NOSPLIT, $0-40
	ROWARGS
block:
	MOVD R1, R2
	MOVD R7, R5
	ZERO4(V20, V21, V22, V23)
piece: // up to 512 k
	ZERO4(V16, V17, V18, V19)
	MOVD $512, R8
	CMP  R8, R5
	CSEL LT, R5, R8, R8
	SUB  R8, R5
loop:
	STEP16(SUM)
	SUBS $16, R8
	BGT  loop
	UADALP_4S(20, 16)
	UADALP_4S(21, 17)
	UADALP_4S(22, 18)
	UADALP_4S(23, 19)
	CBNZ R5, piece
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	SUBS $16, R6
	BGT  block
	RET

// func l1RowDOT(acc *int32, x *int8, w *int8, n int, k int)
//
// A dot product with ones sums the four differences of a weight row.
TEXT ·l1RowDOT(SB), NOSPLIT, $0-40
	ROWARGS
	VMOVI $1, V28.B16
block:
	MOVD R1, R2
	MOVD R7, R5
	ZERO4(V16, V17, V18, V19)
loop:
	STEP16(SUMDOT)
	SUBS $16, R5
	BGT  loop
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	SUBS $16, R6
	BGT  block
	RET

// func maxRowNEON(acc *int32, x *int8, w *int8, n int, k int)
TEXT ·maxRowNEON(SB), NOSPLIT, $0-40
	ROWARGS
block:
	MOVD R1, R2
	MOVD R7, R5
	ZERO4(V16, V17, V18, V19)
loop:
	STEP16(LARGEST)
	SUBS $16, R5
	BGT  loop
	UMAXP_16B(16, 16, 17) // of two, then of four k: a byte a weight row
	UMAXP_16B(18, 18, 19)
	UMAXP_16B(16, 16, 18)
	VUXTL  V16.B8, V0.H8
	VUXTL2 V16.B16, V2.H8
	VUXTL2 V0.H8, V1.S4
	VUXTL  V0.H4, V0.S4
	VUXTL2 V2.H8, V3.S4
	VUXTL  V2.H4, V2.S4
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	SUBS $16, R6
	BGT  block
	RET

#define LOAD(p, a, b, c, d) \
	FLDPQ (p), (a, b);   \
	FLDPQ 32(p), (c, d); \
	ADD   $64, p

// PARABOLA adds r * (c + r*c2) to V0-V3 for r in four registers.
#define PARABOLA(r, c, c2) \
	FMUL4C(4, r, c2); \
	FADD4C(4, 4, c);  \
	FMUL4(4, 4, r);   \
	FADD4(0, 0, 4)

// func survivorsNEON(idx, acc *int32, scale, residual, norm, length *float32, n int, b *Bound, m int) int
//
// Sixteen rows at a time: V8-V11 scale, V12-V15 residual, V16-V19 norm, V20-V23 length; of a query V24-V30 Acc, Res, Res2,
// Norm, Norm2, Len, Min. R10 is the place in acc, R17 four bits at the top.
TEXT ·survivorsNEON(SB), NOSPLIT, $0-80
	MOVD idx+0(FP), R0
	MOVD acc+8(FP), R1
	MOVD scale+16(FP), R2
	MOVD residual+24(FP), R3
	MOVD norm+32(FP), R4
	MOVD length+40(FP), R5
	MOVD n+48(FP), R6
	MOVD m+64(FP), R13
	LSL  $2, R6, R14
	MOVD ZR, R15 // the row
	MOVD $(15<<60), R17
block:
	LOAD(R2, F8, F9, F10, F11)
	LOAD(R3, F12, F13, F14, F15)
	LOAD(R4, F16, F17, F18, F19)
	LOAD(R5, F20, F21, F22, F23)
	MOVD b+56(FP), R9
	MOVD R1, R7
	MOVD R13, R8
	MOVD R15, R10
query:
	VLD4R.P 16(R9), [V24.S4, V25.S4, V26.S4, V27.S4]
	VLD3R.P 12(R9), [V28.S4, V29.S4, V30.S4]
	FLDPQ   (R7), (F0, F1)
	FLDPQ   32(R7), (F2, F3)
	SCVTF4(0, 0)
	FMUL4C(4, 8, 24)
	FMUL4(0, 4, 0)
	PARABOLA(12, 25, 26)
	PARABOLA(16, 27, 28)
	FMUL4C(4, 20, 29)
	FADD4(0, 0, 4)
	CFCMGT4(0, 30, 0) // Min > value: not a survivor
	VUZP1 V1.H8, V0.H8, V4.H8
	VUZP1 V3.H8, V2.H8, V5.H8
	VUZP1 V5.B16, V4.B16, V4.B16
	SHRN_8B(4, 4) // four bits a row
	VMOV V4.D[0], R11
	CMN  $1, R11
	BNE  some
next:
	ADD  R14, R7
	ADD  R6, R10
	SUBS $1, R8
	BNE  query
	ADD  $64, R1
	ADD  $16, R15
	CMP  R6, R15
	BLT  block
	MOVD idx+0(FP), R8
	SUB  R8, R0
	LSR  $2, R0
	MOVD R0, ret+72(FP)
	RET
some:
	MVN  R11, R11
	RBIT R11, R11
survivor: // the first row is the topmost bits
	CLZ  R11, R12
	ADD  R12>>2, R10, R16
	MOVW R16, (R0)
	ADD  $4, R0
	LSR  R12, R17, R16
	BIC  R16, R11
	CBNZ R11, survivor
	B    next
