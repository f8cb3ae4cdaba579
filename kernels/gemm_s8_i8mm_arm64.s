#include "textflag.h"
#include "neon_arm64.h"

// Int8 products by SMMLA, which multiplies two rows of eight k by two rows of eight k: a tile of sixteen rows of x by four
// weight rows, or of eight by eight. Rows of x are laid in pairs, eight rows after eight: [row/8][k/8][row%8/2][row%2][8], on
// the stack, which stays in the first-level cache. ZIP of two blocks of N16K4, the same weight rows at the next four k, gives
// pairs of weight rows; it takes of the multipliers' time a ninth in the higher tile, a fifth in the lower one. Zipping a block
// once for all tiles of 32 rows would cost as much, since stores wait for the same pipes.

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

// tile8x8 multiplies eight rows of x, at R15, by eight weight rows, the half block at R11, and stores R20 rows, at least five,
// at R19, R1 bytes apart, or adds to them if R9 is not 0. R7: k. Changes R11, R15, R17, R19.
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
loop: // sixteen k
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
	BGT   loop
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

// Eight pairs of rows of x, V0-V7, by two pairs of weight rows, V10 and V11: V16-V31, pair by pair of x.
#define PAIRX(x, a) \
	SMMLA_4S(a, x, 10);  \
	SMMLA_4S(a+1, x, 11)

#define TILE16 \
	PAIRX(0, 16); \
	PAIRX(1, 18); \
	PAIRX(2, 20); \
	PAIRX(3, 22); \
	PAIRX(4, 24); \
	PAIRX(5, 26); \
	PAIRX(6, 28); \
	PAIRX(7, 30)

// Eight k of sixteen rows of x, at o, and of four weight rows, at p.
#define LOAD16(o, p) \
	FLDPQ (o)(R15), (F0, F1);    \
	FMOVQ (p)(R11), F8;          \
	FMOVQ (p+64)(R11), F9;       \
	FLDPQ (o+32)(R15), (F2, F3); \
	FLDPQ (o)(R13), (F4, F5);    \
	VZIP1 V9.S4, V8.S4, V10.S4;  \
	VZIP2 V9.S4, V8.S4, V11.S4;  \
	FLDPQ (o+32)(R13), (F6, F7)

// One row of a tile of four weight rows.
#define ROW4(zip, a, b) \
	zip   b.D2, a.D2, V0.D2; \
	FMOVQ F0, (R19);         \
	ADD   R1, R19

#define ROW4ADD(zip, a, b) \
	FMOVQ (R19), F2;           \
	zip   b.D2, a.D2, V0.D2;   \
	VADD  V2.S4, V0.S4, V0.S4; \
	FMOVQ F0, (R19);           \
	ADD   R1, R19

// tile16x4 is tile8x8 for sixteen rows of x and four weight rows, a register of each block from R11 on; R20 is at least
// thirteen. Changes R13 too.
TEXT tile16x4<>(SB), NOSPLIT, $0
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
	ADD  R7<<3, R15, R13
loop: // sixteen k
	LOAD16(0, 0)
	TILE16
	LOAD16(64, 128)
	ADD   $128, R15
	ADD   $128, R13
	ADD   $256, R11
	SUBS  $16, R17
	TILE16
	BGT   loop
	CBNZ  R9, add
	ROW4(VZIP1, V16, V17)
	ROW4(VZIP2, V16, V17)
	ROW4(VZIP1, V18, V19)
	ROW4(VZIP2, V18, V19)
	ROW4(VZIP1, V20, V21)
	ROW4(VZIP2, V20, V21)
	ROW4(VZIP1, V22, V23)
	ROW4(VZIP2, V22, V23)
	ROW4(VZIP1, V24, V25)
	ROW4(VZIP2, V24, V25)
	ROW4(VZIP1, V26, V27)
	ROW4(VZIP2, V26, V27)
	ROW4(VZIP1, V28, V29)
	CMP  $13, R20
	BLE  done
	ROW4(VZIP2, V28, V29)
	CMP  $14, R20
	BLE  done
	ROW4(VZIP1, V30, V31)
	CMP  $15, R20
	BLE  done
	ROW4(VZIP2, V30, V31)
	RET
add:
	ROW4ADD(VZIP1, V16, V17)
	ROW4ADD(VZIP2, V16, V17)
	ROW4ADD(VZIP1, V18, V19)
	ROW4ADD(VZIP2, V18, V19)
	ROW4ADD(VZIP1, V20, V21)
	ROW4ADD(VZIP2, V20, V21)
	ROW4ADD(VZIP1, V22, V23)
	ROW4ADD(VZIP2, V22, V23)
	ROW4ADD(VZIP1, V24, V25)
	ROW4ADD(VZIP2, V24, V25)
	ROW4ADD(VZIP1, V26, V27)
	ROW4ADD(VZIP2, V26, V27)
	ROW4ADD(VZIP1, V28, V29)
	CMP  $13, R20
	BLE  done
	ROW4ADD(VZIP2, V28, V29)
	CMP  $14, R20
	BLE  done
	ROW4ADD(VZIP1, V30, V31)
	CMP  $15, R20
	BLE  done
	ROW4ADD(VZIP2, V30, V31)
done:
	RET

// func rowsS8I8MM(acc *int32, accStride int, x *int8, xStride int, w *int8, wStride int, n int, k int, rows int, add bool)
TEXT ·rowsS8I8MM(SB), 0, $16384-73
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
	MOVD  $pairs-16384(SP), R10 // of x

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
	FMOVQ   (R16), F0
	FMOVQ   (R15), F1
	ADD     $16, R16
	ADD     $16, R15
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

block:
	MOVD R10, R22 // x
	MOVD R0, R26  // its sums
	MOVD R8, R12  // rows left
high:
	CMP  $8, R12
	BLE  low
	MOVD $16, R20
	CMP  R20, R12
	CSEL LT, R12, R20, R20
	MOVD ZR, R21
quarter:
	MOVD R22, R15
	ADD  R21, R4, R11
	ADD  R21, R26, R19
	BL   tile16x4<>(SB)
	ADD  $16, R21
	CMP  $64, R21
	BLT  quarter
	ADD  R7<<4, R22
	ADD  R1<<4, R26
	SUBS $16, R12
	BGT  high
	B    next
low:
	MOVD R12, R20
	MOVD R22, R15
	MOVD R4, R11
	MOVD R26, R19
	BL   tile8x8<>(SB)
	MOVD R22, R15
	ADD  $32, R4, R11
	ADD  $32, R26, R19
	BL   tile8x8<>(SB)
next:
	ADD  $64, R0
	ADD  R5, R4
	SUBS $16, R6
	BGT  block
	RET
