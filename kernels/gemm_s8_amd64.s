#include "textflag.h"

// Int8 products on amd64: one tile of rows of x by blocks of sixteen weight rows, and one row of x by all blocks.
// Weights are in N16K4: each 64 bytes are sixteen rows by four k.
//
// A tile at the edge repeats its last row or block: the same sums are computed and stored twice, and one body serves
// all sizes.

// ---- AVX2: bytes widened to int16, VPMADDWD adds pairs of products in int32.

// func tileS8AVX2(acc *int32, accStride int, x *int8, xStride int, w *int8, k int, rows int)
//
// Three rows of x by one block. Y0-Y11 hold for each row four quarters (four weight rows, two partial sums each).
// x is widened sixteen k at a time into the frame, from where four k are broadcast by a load: the shuffle port is kept
// for widening the weights.
#define QUARTER(off, q, a0, a1, a2) \
	VPMOVSXBW    (off*64+q*16)(DI), Y12;  \ // w: four rows by four k as int16
	VPBROADCASTQ (off*8)(SP), Y13;        \
	VPBROADCASTQ (32+off*8)(SP), Y14;     \
	VPBROADCASTQ (64+off*8)(SP), Y15;     \
	VPMADDWD     Y12, Y13, Y13;           \
	VPMADDWD     Y12, Y14, Y14;           \
	VPMADDWD     Y12, Y15, Y15;           \
	VPADDD       Y13, a0, a0;             \
	VPADDD       Y14, a1, a1;             \
	VPADDD       Y15, a2, a2

#define STEP3(off) \
	QUARTER(off, 0, Y0, Y4, Y8);  \
	QUARTER(off, 1, Y1, Y5, Y9);  \
	QUARTER(off, 2, Y2, Y6, Y10); \
	QUARTER(off, 3, Y3, Y7, Y11)

// STORE16 adds the two partial sums of each weight row and stores sixteen sums at (p).
#define STORE16(a, b, c, d, p) \
	VPHADDD b, a, a;     \ // rows 0 1 4 5 | 2 3 6 7
	VPHADDD d, c, c;     \
	VPERMQ  $0xd8, a, a; \ // rows 0 .. 7
	VPERMQ  $0xd8, c, c; \
	VMOVDQU a, (p);      \
	VMOVDQU c, 32(p)

TEXT ·tileS8AVX2(SB), NOSPLIT, $96-56
	MOVQ acc+0(FP), R11
	MOVQ accStride+8(FP), R12
	MOVQ x+16(FP), SI
	MOVQ xStride+24(FP), R13
	MOVQ w+32(FP), DI
	MOVQ k+40(FP), CX
	MOVQ rows+48(FP), DX

	MOVQ SI, R8  // x of row 1, or of the last row there is
	MOVQ R11, AX // where the sums of row 1 go
	CMPQ DX, $2
	JLT  rows
	ADDQ R13, R8
	ADDQ R12, AX
rows:
	MOVQ R8, R9
	MOVQ AX, BX
	CMPQ DX, $3
	JLT  zero
	ADDQ R13, R9
	ADDQ R12, BX
zero:
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
	VPXOR Y8, Y8, Y8
	VPXOR Y9, Y9, Y9
	VPXOR Y10, Y10, Y10
	VPXOR Y11, Y11, Y11

	SUBQ $16, CX
	JLT  done
loop: // sixteen k
	VPMOVSXBW (SI), Y13
	VPMOVSXBW (R8), Y14
	VPMOVSXBW (R9), Y15
	VMOVDQU   Y13, (SP)
	VMOVDQU   Y14, 32(SP)
	VMOVDQU   Y15, 64(SP)
	STEP3(0)
	STEP3(1)
	STEP3(2)
	STEP3(3)
	ADDQ $16, SI
	ADDQ $16, R8
	ADDQ $16, R9
	ADDQ $256, DI
	SUBQ $16, CX
	JGE  loop
done:
	STORE16(Y0, Y1, Y2, Y3, R11)
	STORE16(Y4, Y5, Y6, Y7, AX)
	STORE16(Y8, Y9, Y10, Y11, BX)
	VZEROUPPER
	RET

// func gemvS8AVX2(acc *int32, x *int8, w *int8, n int, k int)
//
// One row of x by all blocks, one after another: the weights are one sequential stream.
#define STEP1(off) \
	VPBROADCASTD (off*4)(SI), X12;       \
	VPMOVSXBW    X12, Y12;               \ // four k, four times
	VPMOVSXBW    (off*64)(DI), Y4;       \
	VPMOVSXBW    (off*64+16)(DI), Y5;    \
	VPMOVSXBW    (off*64+32)(DI), Y6;    \
	VPMOVSXBW    (off*64+48)(DI), Y7;    \
	VPMADDWD     Y12, Y4, Y4;            \
	VPMADDWD     Y12, Y5, Y5;            \
	VPMADDWD     Y12, Y6, Y6;            \
	VPMADDWD     Y12, Y7, Y7;            \
	VPADDD       Y4, Y0, Y0;             \
	VPADDD       Y5, Y1, Y1;             \
	VPADDD       Y6, Y2, Y2;             \
	VPADDD       Y7, Y3, Y3

TEXT ·gemvS8AVX2(SB), NOSPLIT, $0-40
	MOVQ acc+0(FP), R11
	MOVQ x+8(FP), R8
	MOVQ w+16(FP), DI
	MOVQ n+24(FP), DX
	MOVQ k+32(FP), R9

block:
	SUBQ  $16, DX
	JLT   end
	MOVQ  R8, SI
	MOVQ  R9, CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	SUBQ  $16, CX
	JLT   store
loop: // sixteen k
	STEP1(0)
	STEP1(1)
	STEP1(2)
	STEP1(3)
	ADDQ $16, SI
	ADDQ $256, DI
	SUBQ $16, CX
	JGE  loop
store:
	STORE16(Y0, Y1, Y2, Y3, R11)
	ADDQ $64, R11
	JMP  block
end:
	VZEROUPPER
	RET

// ---- AVX512-VNNI: VPDPBUSD multiplies unsigned by signed bytes and adds four products in int32; a register is one block.
// x ^ 0x80 is x + 128 as unsigned, so each sum starts from -128 * (sum of its weight row).

DATA signs<>+0(SB)/4, $0x80808080
GLOBL signs<>(SB), RODATA|NOPTR, $4

// func tileS8VNNI(acc *int32, accStride int, x *int8, xStride int, w *int8, wStride int, sums *int32, k int, rows int, blocks int)
//
// Four rows of x by four blocks: Z0-Z15, row by row. Z16-Z19 hold the blocks of these four k, Z20-Z23 the x.
#define STEP4(off) \
	VMOVDQU32   (off*64)(DI), Z16;               \
	VMOVDQU32   (off*64)(R10), Z17;              \
	VMOVDQU32   (off*64)(R11), Z18;              \
	VMOVDQU32   (off*64)(R12), Z19;              \
	VPXORD.BCST (off*4)(SI), Z31, Z20;           \
	VPXORD.BCST (off*4)(R8), Z31, Z21;           \
	VPXORD.BCST (off*4)(R9), Z31, Z22;           \
	VPXORD.BCST (off*4)(AX), Z31, Z23;           \
	VPDPBUSD    Z16, Z20, Z0;                    \
	VPDPBUSD    Z17, Z20, Z1;                    \
	VPDPBUSD    Z18, Z20, Z2;                    \
	VPDPBUSD    Z19, Z20, Z3;                    \
	VPDPBUSD    Z16, Z21, Z4;                    \
	VPDPBUSD    Z17, Z21, Z5;                    \
	VPDPBUSD    Z18, Z21, Z6;                    \
	VPDPBUSD    Z19, Z21, Z7;                    \
	VPDPBUSD    Z16, Z22, Z8;                    \
	VPDPBUSD    Z17, Z22, Z9;                    \
	VPDPBUSD    Z18, Z22, Z10;                   \
	VPDPBUSD    Z19, Z22, Z11;                   \
	VPDPBUSD    Z16, Z23, Z12;                   \
	VPDPBUSD    Z17, Z23, Z13;                   \
	VPDPBUSD    Z18, Z23, Z14;                   \
	VPDPBUSD    Z19, Z23, Z15

// START sets the four rows of one block to -128 * sums, sums at (p).
#define START(p, a, b, c, d) \
	VMOVDQU32 (p), Z16;      \
	VPSLLD    $7, Z16, Z16;  \
	VPSUBD    Z16, Z30, a;   \
	VMOVDQA32 a, b;          \
	VMOVDQA32 a, c;          \
	VMOVDQA32 a, d

// STORE4 stores one row's four blocks at p, p+BX, p+CX, p+DX.
#define STORE4(p, a, b, c, d) \
	VMOVDQU32 a, (p);         \
	VMOVDQU32 b, (p)(BX*1);   \
	VMOVDQU32 c, (p)(CX*1);   \
	VMOVDQU32 d, (p)(DX*1)

TEXT ·tileS8VNNI(SB), NOSPLIT, $0-80
	MOVQ x+16(FP), SI
	MOVQ xStride+24(FP), R13
	MOVQ w+32(FP), DI
	MOVQ wStride+40(FP), CX
	MOVQ blocks+72(FP), DX

	MOVQ DI, R10 // block 1, or the last there is
	CMPQ DX, $2
	JLT  blocks2
	ADDQ CX, R10
blocks2:
	MOVQ R10, R11
	CMPQ DX, $3
	JLT  blocks3
	ADDQ CX, R11
blocks3:
	MOVQ R11, R12
	CMPQ DX, $4
	JLT  rows1
	ADDQ CX, R12
rows1:
	MOVQ rows+64(FP), BX
	MOVQ SI, R8 // row 1, or the last there is
	CMPQ BX, $2
	JLT  rows2
	ADDQ R13, R8
rows2:
	MOVQ R8, R9
	CMPQ BX, $3
	JLT  rows3
	ADDQ R13, R9
rows3:
	MOVQ R9, AX
	CMPQ BX, $4
	JLT  offsets
	ADDQ R13, AX
offsets:
	// BX, CX, DX: where blocks 1 to 3 lie in a row of sums, min(i, blocks-1)*64.
	DECQ    DX
	SHLQ    $6, DX
	MOVQ    $64, BX
	CMPQ    DX, BX
	CMOVQLT DX, BX
	MOVQ    $128, CX
	CMPQ    DX, CX
	CMOVQLT DX, CX
	MOVQ    sums+48(FP), R13

	VPBROADCASTD signs<>(SB), Z31
	VPXORD       Z30, Z30, Z30
	START(R13, Z0, Z4, Z8, Z12)
	ADDQ         BX, R13
	START(R13, Z1, Z5, Z9, Z13)
	SUBQ         BX, R13
	ADDQ         CX, R13
	START(R13, Z2, Z6, Z10, Z14)
	SUBQ         CX, R13
	ADDQ         DX, R13
	START(R13, Z3, Z7, Z11, Z15)

	MOVQ k+56(FP), R13
	SUBQ $16, R13
	JLT  store
loop: // sixteen k
	STEP4(0)
	STEP4(1)
	STEP4(2)
	STEP4(3)
	ADDQ $16, SI
	ADDQ $16, R8
	ADDQ $16, R9
	ADDQ $16, AX
	ADDQ $256, DI
	ADDQ $256, R10
	ADDQ $256, R11
	ADDQ $256, R12
	SUBQ $16, R13
	JGE  loop
store:
	MOVQ acc+0(FP), DI
	MOVQ accStride+8(FP), R13
	MOVQ rows+64(FP), SI
	STORE4(DI, Z0, Z1, Z2, Z3)
	CMPQ SI, $2
	JLT  done
	ADDQ R13, DI
	STORE4(DI, Z4, Z5, Z6, Z7)
	CMPQ SI, $3
	JLT  done
	ADDQ R13, DI
	STORE4(DI, Z8, Z9, Z10, Z11)
	CMPQ SI, $4
	JLT  done
	ADDQ R13, DI
	STORE4(DI, Z12, Z13, Z14, Z15)
done:
	VZEROUPPER
	RET

// func gemvS8VNNI(acc *int32, x *int8, w *int8, sums *int32, n int, k int)
//
// One row of x by all blocks, one after another: the weights are one sequential stream. Four sums, one for each k/4 % 4,
// hide the latency.
TEXT ·gemvS8VNNI(SB), NOSPLIT, $0-48
	MOVQ acc+0(FP), R11
	MOVQ x+8(FP), R8
	MOVQ w+16(FP), DI
	MOVQ sums+24(FP), R10
	MOVQ n+32(FP), DX
	MOVQ k+40(FP), R9

	VPBROADCASTD signs<>(SB), Z31
	VPXORD       Z30, Z30, Z30
block:
	SUBQ      $16, DX
	JLT       end
	MOVQ      R8, SI
	MOVQ      R9, CX
	VMOVDQU32 (R10), Z0
	VPSLLD    $7, Z0, Z0
	VPSUBD    Z0, Z30, Z0
	VPXORD    Z1, Z1, Z1
	VPXORD    Z2, Z2, Z2
	VPXORD    Z3, Z3, Z3
	SUBQ      $16, CX
	JLT       store
loop: // sixteen k
	VPXORD.BCST (SI), Z31, Z20
	VPXORD.BCST 4(SI), Z31, Z21
	VPXORD.BCST 8(SI), Z31, Z22
	VPXORD.BCST 12(SI), Z31, Z23
	PREFETCHT0  1024(DI)
	PREFETCHT0  1088(DI)
	PREFETCHT0  1152(DI)
	PREFETCHT0  1216(DI)
	VPDPBUSD    (DI), Z20, Z0
	VPDPBUSD    64(DI), Z21, Z1
	VPDPBUSD    128(DI), Z22, Z2
	VPDPBUSD    192(DI), Z23, Z3
	ADDQ        $16, SI
	ADDQ        $256, DI
	SUBQ        $16, CX
	JGE         loop
store:
	VPADDD    Z1, Z0, Z0
	VPADDD    Z3, Z2, Z2
	VPADDD    Z2, Z0, Z0
	VMOVDQU32 Z0, (R11)
	ADDQ      $64, R11
	ADDQ      $64, R10
	JMP       block
end:
	VZEROUPPER
	RET
