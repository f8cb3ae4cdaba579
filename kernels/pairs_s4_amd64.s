#include "textflag.h"

// Rows of pairs of int4 on amd64: see generic_pairs.go. A shift of words by four unpacks the second column of each byte.

DATA ones16<>+0(SB)/4, $0x00010001
GLOBL ones16<>(SB), RODATA|NOPTR, $4

DATA bytes1<>+0(SB)/4, $0x01010101
GLOBL bytes1<>(SB), RODATA|NOPTR, $4

DATA signs4<>+0(SB)/4, $0x80808080
GLOBL signs4<>(SB), RODATA|NOPTR, $4

// ROWAT: DI the row of the list at BX.
#define ROWAT \
	MOVLQSX (BX), DI; \
	IMULQ   R10, DI;  \
	ADDQ    R12, DI

#define ROWSARGS \
	MOVQ acc+0(FP), R11;   \
	MOVQ x+8(FP), R9;      \
	MOVQ w+16(FP), R12;    \
	MOVQ rows+24(FP), BX;  \
	MOVQ n+32(FP), DX;     \
	MOVQ h+40(FP), R10

// ---- AVX2: |w| as unsigned bytes by x with the sign of w. A w may be -128, whose absolute value is right as unsigned: a pair is at
// most 2*128*127, which fits int16. Y15 holds ones.

// TAKE adds to a the products of the bytes in w and x, four to each int32; t and u are lost.
#define TAKE(w, x, a, t, u) \
	VPABSB     w, t;      \
	VPSIGNB    w, x, u;   \
	VPMADDUBSW u, t, t;   \
	VPMADDWD   Y15, t, t; \
	VPADDD     t, a, a

// STEP4 takes four bytes of each of sixteen rows at off: x of their columns at (SI) and (R8).
#define STEP4(off) \
	VPBROADCASTD (off/16)(SI), Y10; \
	VPBROADCASTD (off/16)(R8), Y11; \
	VMOVDQU      off(DI), Y4;       \
	VMOVDQU      (off+32)(DI), Y5;  \
	TAKE(Y4, Y10, Y0, Y6, Y7);      \
	TAKE(Y5, Y10, Y1, Y8, Y9);      \
	VPSLLW       $4, Y4, Y4;        \
	VPSLLW       $4, Y5, Y5;        \
	TAKE(Y4, Y11, Y2, Y6, Y7);      \
	TAKE(Y5, Y11, Y3, Y8, Y9)

// func gemvS4AVX2(acc *int32, x *int8, w *int8, n int, h int)
TEXT ·gemvS4AVX2(SB), NOSPLIT, $0-40
	MOVQ acc+0(FP), R11
	MOVQ x+8(FP), R9
	MOVQ w+16(FP), DI
	MOVQ n+24(FP), DX
	MOVQ h+32(FP), R10
	VPBROADCASTD ones16<>(SB), Y15
block:
	MOVQ  R9, SI
	LEAQ  (R9)(R10*1), R8
	MOVQ  R10, CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
loop: // sixteen bytes a row
	PREFETCHT0 1024(DI)
	PREFETCHT0 1088(DI)
	PREFETCHT0 1152(DI)
	PREFETCHT0 1216(DI)
	STEP4(0)
	STEP4(64)
	STEP4(128)
	STEP4(192)
	ADDQ $16, SI
	ADDQ $16, R8
	ADDQ $256, DI
	SUBQ $16, CX
	JGT  loop
	VPADDD  Y2, Y0, Y0
	VPADDD  Y3, Y1, Y1
	VMOVDQU Y0, (R11)
	VMOVDQU Y1, 32(R11)
	ADDQ $64, R11
	SUBQ $16, DX
	JGT  block
	VZEROUPPER
	RET

// TAKE16 is TAKE of sixteen bytes.
#define TAKE16(w, x, a, t, u) \
	VPABSB     w, t;      \
	VPSIGNB    w, x, u;   \
	VPMADDUBSW u, t, t;   \
	VPMADDWD   X15, t, t; \
	VPADDD     t, a, a

// FOLD4 leaves the sum of the four int32 of X0 in AX.
#define FOLD4 \
	VPSHUFD $0x4e, X0, X1; \
	VPADDD  X1, X0, X0;    \
	VPSHUFD $0xb1, X0, X1; \
	VPADDD  X1, X0, X0;    \
	VMOVD   X0, AX

// func rowsS4AVX2(acc *int32, x *int8, w *int8, rows *int32, n int, h int)
TEXT ·rowsS4AVX2(SB), NOSPLIT, $0-48
	ROWSARGS
	VPBROADCASTD ones16<>(SB), Y15
row:
	ROWAT
	MOVQ  R9, SI
	LEAQ  (R9)(R10*1), R8
	MOVQ  R10, CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	SUBQ  $32, CX
	JLT   last
loop:
	VMOVDQU (DI), Y4
	VMOVDQU (SI), Y10
	VMOVDQU (R8), Y11
	TAKE(Y4, Y10, Y0, Y6, Y7)
	VPSLLW  $4, Y4, Y4
	TAKE(Y4, Y11, Y1, Y8, Y9)
	ADDQ $32, DI
	ADDQ $32, SI
	ADDQ $32, R8
	SUBQ $32, CX
	JGE  loop
last:
	VPADDD       Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD       X1, X0, X0
	ADDQ $32, CX
	JEQ  done
	VMOVDQU (DI), X4
	VMOVDQU (SI), X10
	VMOVDQU (R8), X11
	TAKE16(X4, X10, X0, X6, X7)
	VPSLLW  $4, X4, X4
	TAKE16(X4, X11, X0, X8, X9)
done:
	FOLD4
	MOVL AX, (R11)
	ADDQ $4, R11
	ADDQ $4, BX
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

// ---- AVX512-VNNI: VPDPBUSD multiplies unsigned by signed bytes: w ^ 0x80 is w + 128 as unsigned, so each sum starts from -128 * (sum
// of x); what the shift brings from one byte into the next is taken before. Z31 holds the signs.

// SUMX leaves -128 times the sum of the 2h bytes of x, at R9, in AX.
#define SUMX(loop) \
	VPBROADCASTD bytes1<>(SB), Y4;  \
	VPXORD       Y0, Y0, Y0;        \
	MOVQ         R9, SI;            \
	LEAQ         (R10)(R10*1), CX;  \
loop:                               \
	VPDPBUSD     (SI), Y4, Y0;      \
	ADDQ         $32, SI;           \
	SUBQ         $32, CX;           \
	JGT          loop;              \
	VEXTRACTI128 $1, Y0, X1;        \
	VPADDD       X1, X0, X0;        \
	FOLD4;                          \
	SHLL         $7, AX;            \
	NEGL         AX

// PAIRS4 takes four bytes of each of sixteen rows at off.
#define PAIRS4(off, a, b) \
	VMOVDQU32     off(DI), Z5;           \
	VPXORD        Z31, Z5, Z4;           \
	VPSLLW        $4, Z5, Z5;            \
	VPXORD        Z31, Z5, Z5;           \
	VPDPBUSD.BCST (off/16)(SI), Z4, a;   \
	VPDPBUSD.BCST (off/16)(R8), Z5, b

// func gemvS4VNNI(acc *int32, x *int8, w *int8, n int, h int)
TEXT ·gemvS4VNNI(SB), NOSPLIT, $0-40
	MOVQ acc+0(FP), R11
	MOVQ x+8(FP), R9
	MOVQ w+16(FP), DI
	MOVQ n+24(FP), DX
	MOVQ h+32(FP), R10
	SUMX(sum)
	VPBROADCASTD AX, Z30
	VPBROADCASTD signs4<>(SB), Z31
block:
	MOVQ      R9, SI
	LEAQ      (R9)(R10*1), R8
	MOVQ      R10, CX
	VMOVDQA32 Z30, Z0
	VPXORD    Z1, Z1, Z1
	VPXORD    Z2, Z2, Z2
	VPXORD    Z3, Z3, Z3
loop: // sixteen bytes a row
	PREFETCHT0 8192(DI)
	PREFETCHT0 8256(DI)
	PREFETCHT0 8320(DI)
	PREFETCHT0 8384(DI)
	PAIRS4(0, Z0, Z1)
	PAIRS4(64, Z2, Z3)
	PAIRS4(128, Z0, Z1)
	PAIRS4(192, Z2, Z3)
	ADDQ $16, SI
	ADDQ $16, R8
	ADDQ $256, DI
	SUBQ $16, CX
	JGT  loop
	VPADDD    Z1, Z0, Z0
	VPADDD    Z3, Z2, Z2
	VPADDD    Z2, Z0, Z0
	VMOVDQU32 Z0, (R11)
	ADDQ      $64, R11
	SUBQ      $16, DX
	JGT       block
	VZEROUPPER
	RET

// func rowsS4VNNI(acc *int32, x *int8, w *int8, rows *int32, n int, h int)
//
// K1 has the bytes of the last turn, 1 to 64.
TEXT ·rowsS4VNNI(SB), NOSPLIT, $0-48
	ROWSARGS
	SUMX(sum)
	VMOVD        AX, X30 // and zeros
	VPBROADCASTD signs4<>(SB), Z31
	MOVQ  R10, CX
	NEGQ  CX
	ANDQ  $63, CX
	MOVQ  $-1, AX
	SHRQ  CX, AX
	KMOVQ AX, K1
row:
	ROWAT
	MOVQ      R9, SI
	LEAQ      (R9)(R10*1), R8
	MOVQ      R10, CX
	VMOVDQA32 Z30, Z0
	VPXORD    Z1, Z1, Z1
	SUBQ      $64, CX
	JLE       last
loop:
	VMOVDQU32  (DI), Z5
	VPXORD     Z31, Z5, Z4
	VPSLLW     $4, Z5, Z5
	VPXORD     Z31, Z5, Z5
	VPDPBUSD   (SI), Z4, Z0
	VPDPBUSD   (R8), Z5, Z1
	ADDQ $64, DI
	ADDQ $64, SI
	ADDQ $64, R8
	SUBQ $64, CX
	JGT  loop
last:
	VMOVDQU8.Z  (DI), K1, Z5
	VMOVDQU8.Z  (SI), K1, Z6
	VMOVDQU8.Z  (R8), K1, Z7
	VPXORD      Z31, Z5, Z4
	VPSLLW      $4, Z5, Z5
	VPXORD      Z31, Z5, Z5
	VPDPBUSD    Z6, Z4, Z0
	VPDPBUSD    Z7, Z5, Z1
	VPADDD      Z1, Z0, Z0
	VEXTRACTI64X4 $1, Z0, Y1
	VPADDD      Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD      X1, X0, X0
	FOLD4
	MOVL AX, (R11)
	ADDQ $4, R11
	ADDQ $4, BX
	DECQ DX
	JNE  row
	VZEROUPPER
	RET
