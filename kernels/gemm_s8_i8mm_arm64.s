#include "textflag.h"
#include "neon_arm64.h"

// Int8 products by SMMLA, which multiplies two rows of eight k by two rows of eight k: a tile of eight rows of x by eight
// weight rows. Rows of x are laid in pairs, [k/8][row/2][2][8], on the stack, which stays in the first-level cache; ZIP of
// two blocks of N16K4, the same rows at the next four k, gives pairs of weight rows. One tile high, they are zipped on the
// way into the product (the ZIPs take a fifth of the multipliers' time); from two tiles on, a block is zipped once, onto the stack.

// Four pairs of rows of x, V0-V3, by four pairs of weight rows, V4-V7: V16-V31, pair by pair of x.
#define PAIRS(x, w, a) \
	SMMLA_4S(a, x, w);     \
	SMMLA_4S(a+1, x, w+1); \
	SMMLA_4S(a+2, x, w+2); \
	SMMLA_4S(a+3, x, w+3)

#define TILE(x, w) \
	PAIRS(x, w, 16);   \
	PAIRS(x+1, w, 20); \
	PAIRS(x+2, w, 24); \
	PAIRS(x+3, w, 28)

// Eight k of eight weight rows, pairwise: from the blocks at o and o+64 from R11 into a to d. Uses V8-V11.
#define ZIPPED(o, a, b, c, d) \
	FLDPQ (o)(R11), (F8, F9);       \
	FLDPQ (o+64)(R11), (F10, F11);  \
	VZIP1 V10.S4, V8.S4, a.S4;      \
	VZIP2 V10.S4, V8.S4, b.S4;      \
	VZIP1 V11.S4, V9.S4, c.S4;      \
	VZIP2 V11.S4, V9.S4, d.S4

// One row of a tile, from two pairs of registers: zip is VZIP1 for the upper row of the pairs, VZIP2 for the lower one.
#define ROW(zip, a, b, c, d) \
	zip   b.D2, a.D2, V0.D2; \
	zip   d.D2, c.D2, V1.D2; \
	FSTPQ (F0, F1), (R19);   \
	ADD   R1, R19

#define ROWADD(zip, a, b, c, d) \
	FLDPQ (R19), (F2, F3);     \
	zip   b.D2, a.D2, V0.D2;   \
	zip   d.D2, c.D2, V1.D2;   \
	VADD  V2.S4, V0.S4, V0.S4; \
	VADD  V3.S4, V1.S4, V1.S4; \
	FSTPQ (F0, F1), (R19);     \
	ADD   R1, R19

// tile8x8 multiplies the pairs of x at R15 by eight weight rows, zipped ones at R11 if R21 is not 0, else those of the half
// block at R11, and stores R20 rows, at least five, at R19, R1 bytes apart, or adds to them if R9 is not 0. R7: k.
// Changes R15-R17, R19.
TEXT tile8x8<>(SB), NOSPLIT, $0
	VEOR V16.B16, V16.B16, V16.B16
	VEOR V17.B16, V17.B16, V17.B16
	VEOR V18.B16, V18.B16, V18.B16
	VEOR V19.B16, V19.B16, V19.B16
	VEOR V20.B16, V20.B16, V20.B16
	VEOR V21.B16, V21.B16, V21.B16
	VEOR V22.B16, V22.B16, V22.B16
	VEOR V23.B16, V23.B16, V23.B16
	VEOR V24.B16, V24.B16, V24.B16
	VEOR V25.B16, V25.B16, V25.B16
	VEOR V26.B16, V26.B16, V26.B16
	VEOR V27.B16, V27.B16, V27.B16
	VEOR V28.B16, V28.B16, V28.B16
	VEOR V29.B16, V29.B16, V29.B16
	VEOR V30.B16, V30.B16, V30.B16
	VEOR V31.B16, V31.B16, V31.B16
	MOVD R7, R17
	CBNZ R21, panel
direct: // sixteen k
	FLDPQ (R15), (F0, F1)
	ZIPPED(0, V4, V5, V6, V7)
	FLDPQ 32(R15), (F2, F3)
	FLDPQ 64(R15), (F12, F13)
	TILE(0, 4)
	FLDPQ 96(R15), (F14, F15)
	ZIPPED(128, V4, V5, V6, V7)
	ADD   $128, R15
	ADD   $256, R11
	SUBS  $16, R17
	TILE(12, 4)
	BGT   direct
	B     store
panel: // sixteen k
	FLDPQ (R15), (F0, F1)
	FLDPQ (R11), (F4, F5)
	FLDPQ 32(R11), (F6, F7)
	FLDPQ 32(R15), (F2, F3)
	FLDPQ 64(R15), (F12, F13)
	TILE(0, 4)
	FLDPQ 64(R11), (F8, F9)
	FLDPQ 96(R11), (F10, F11)
	FLDPQ 96(R15), (F14, F15)
	ADD   $128, R15
	ADD   $128, R11
	SUBS  $16, R17
	TILE(12, 8)
	BGT   panel
store:
	CBNZ R9, add
	ROW(VZIP1, V16, V17, V18, V19)
	ROW(VZIP2, V16, V17, V18, V19)
	ROW(VZIP1, V20, V21, V22, V23)
	ROW(VZIP2, V20, V21, V22, V23)
	ROW(VZIP1, V24, V25, V26, V27)
	CMP  $5, R20
	BLE  done
	ROW(VZIP2, V24, V25, V26, V27)
	CMP  $6, R20
	BLE  done
	ROW(VZIP1, V28, V29, V30, V31)
	CMP  $7, R20
	BLE  done
	ROW(VZIP2, V28, V29, V30, V31)
	RET
add:
	ROWADD(VZIP1, V16, V17, V18, V19)
	ROWADD(VZIP2, V16, V17, V18, V19)
	ROWADD(VZIP1, V20, V21, V22, V23)
	ROWADD(VZIP2, V20, V21, V22, V23)
	ROWADD(VZIP1, V24, V25, V26, V27)
	CMP  $5, R20
	BLE  done
	ROWADD(VZIP2, V24, V25, V26, V27)
	CMP  $6, R20
	BLE  done
	ROWADD(VZIP1, V28, V29, V30, V31)
	CMP  $7, R20
	BLE  done
	ROWADD(VZIP2, V28, V29, V30, V31)
done:
	RET

// func panelsS8I8MM(acc *int32, accStride int, x *int8, xStride int, w *int8, wStride int, n int, k int, rows int, add bool)
TEXT ·panelsS8I8MM(SB), 0, $24576-73
	MOVD  acc+0(FP), R0
	MOVD  accStride+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  xStride+24(FP), R3
	MOVD  w+32(FP), R4
	MOVD  wStride+40(FP), R5
	MOVD  n+48(FP), R6
	MOVD  k+56(FP), R7
	MOVD  rows+64(FP), R8
	MOVBU add+72(FP), R9
	MOVD  $pairs-24576(SP), R10 // of x, 16 KB
	MOVD  $zipped-8192(SP), R14 // a block of weights, eight rows after eight

	// Pairs of x. R22: eight rows after eight, R23: where they go, R8: rows left; the last one fills up its eight.
	MOVD R10, R22
	MOVD R8, R12
eight:
	MOVD R22, R23
	MOVD $4, R24
pair:
	MOVD R2, R16
	CMP  $1, R12
	CSEL GT, R3, ZR, R13
	CSET GT, R19
	ADD  R13, R2
	SUB  R19, R12
	MOVD R2, R15
	CMP  $1, R12
	CSEL GT, R3, ZR, R13
	CSET GT, R19
	ADD  R13, R2
	SUB  R19, R12
	MOVD R23, R11
	MOVD R7, R17
sixteen:
	FMOVQ.P 16(R16), F0
	FMOVQ.P 16(R15), F1
	VZIP1   V1.D2, V0.D2, V2.D2
	VZIP2   V1.D2, V0.D2, V3.D2
	FMOVQ   F2, (R11)
	FMOVQ   F3, 64(R11)
	ADD     $128, R11
	SUBS    $16, R17
	BGT     sixteen
	ADD     $16, R23
	SUBS    $1, R24
	BGT     pair
	ADD     R7<<3, R22
	SUB     R10, R22, R17
	MUL     R7, R8, R19
	CMP     R19, R17
	BLT     eight

	SUBS $8, R8, R21
	CSEL LE, ZR, R21, R21 // more than one tile: zip a block at a time
block:
	CBNZ R21, zip
	MOVD R10, R15
	MOVD R4, R11
	MOVD R0, R19
	MOVD R8, R20
	BL   tile8x8<>(SB)
	MOVD R10, R15
	ADD  $32, R4, R11
	ADD  $32, R0, R19
	BL   tile8x8<>(SB)
	B    next
zip:
	MOVD R4, R11
	MOVD R14, R15
	ADD  R7<<3, R14, R23
	MOVD R7, R17
zip8: // eight k of sixteen weight rows
	ZIPPED(0, V0, V1, V2, V3)
	FSTPQ (F0, F1), (R15)
	FSTPQ (F2, F3), 32(R15)
	ADD   $64, R15
	ZIPPED(32, V4, V5, V6, V7)
	FSTPQ (F4, F5), (R23)
	FSTPQ (F6, F7), 32(R23)
	ADD   $64, R23
	ADD   $128, R11
	SUBS  $8, R17
	BGT   zip8
	MOVD  R14, R25        // the half block
	MOVD  R0, R26         // its sums
half:
	MOVD  R10, R22
	MOVD  R26, R24
	MOVD  R8, R12
tiles:
	MOVD  R22, R15
	MOVD  R25, R11
	MOVD  R24, R19
	MOVD  $8, R20
	CMP   R20, R12
	CSEL  LT, R12, R20, R20
	BL    tile8x8<>(SB)
	ADD   R7<<3, R22
	ADD   R1<<3, R24
	SUBS  $8, R12
	BGT   tiles
	ADD   $32, R26
	ADD   R7<<3, R25
	SUB   R0, R26, R17
	CMP   $64, R17
	BLT   half
next:
	ADD  $64, R0
	ADD  R5, R4
	SUBS $16, R6
	BGT  block
	RET
