#include "textflag.h"

// Int8 products on amd64: one tile of rows of x by a block of sixteen weight rows, and one row of x by all blocks; more rows on
// AVX512-VNNI are in tiles_s8_amd64.s. Weights are in N16K4: each 64 bytes are sixteen rows by four k.

// ---- AVX2: VPMADDUBSW multiplies unsigned by signed bytes and adds pairs in int16. |x| by w with the sign of x is what it
// gets: as nothing is below -127, a pair is at most 2*127*127 and never saturates. VPMADDWD by ones adds the pairs in int32: a lane is
// a weight row.

DATA ones<>+0(SB)/4, $0x00010001
GLOBL ones<>(SB), RODATA|NOPTR, $4

// PRODUCT adds to a four k of eight weight rows w by the x in Y13, |x| in Y12.
#define PRODUCT(w, a) \
	VPSIGNB    Y13, w, Y14;   \
	VPMADDUBSW Y14, Y12, Y14; \
	VPMADDWD   Y15, Y14, Y14; \
	VPADDD     Y14, a, a

// ABS16 puts |x| of sixteen k of row r at x into the frame.
#define ABS16(r, x) \
	VMOVDQU (x), X12;       \
	VPABSB  X12, X12;       \
	VMOVDQU X12, (r*16)(SP)

#define XROW(r, x, off, a, b) \
	VPBROADCASTD (r*16+off*4)(SP), Y12; \
	VPBROADCASTD (off*4)(x), Y13;       \
	PRODUCT(Y8, a);                     \
	PRODUCT(Y9, b)

#define BLOCK(off) \
	VMOVDQU (off*64)(DI), Y8; \
	VMOVDQU (off*64+32)(DI), Y9

#define TILE1(off) BLOCK(off); XROW(0, SI, off, Y0, Y1)
#define TILE2(off) TILE1(off); XROW(1, R8, off, Y2, Y3)
#define TILE3(off) TILE2(off); XROW(2, R9, off, Y4, Y5)
#define TILE4(off) TILE3(off); XROW(3, R10, off, Y6, Y7)

#define ABS1 ABS16(0, SI)
#define ABS2 ABS1; ABS16(1, R8)
#define ABS3 ABS2; ABS16(2, R9)
#define ABS4 ABS3; ABS16(3, R10)

// TILELOOP is one loop over CX columns, sixteen at a time.
#define TILELOOP(abs, tile, loop) \
loop:               \
	abs;            \
	tile(0);        \
	tile(1);        \
	tile(2);        \
	tile(3);        \
	ADDQ $16, SI;   \
	ADDQ $16, R8;   \
	ADDQ $16, R9;   \
	ADDQ $16, R10;  \
	ADDQ $256, DI;  \
	SUBQ $16, CX;   \
	JGT  loop

// STOREROW stores a row's sums at R11, and goes on to the next row while there is one.
#define STOREROW(a, b) \
	VMOVDQU a, (R11);   \
	VMOVDQU b, 32(R11); \
	ADDQ    R12, R11;   \
	DECQ    DX;         \
	JEQ     done

// func tileS8AVX2(acc *int32, accStride int, x *int8, xStride int, w *int8, k int, rows int)
//
// Up to four rows of x by one block: Y0-Y7, row by row; each row count has its own loop.
TEXT ·tileS8AVX2(SB), NOSPLIT, $64-56
	MOVQ acc+0(FP), R11
	MOVQ accStride+8(FP), R12
	MOVQ x+16(FP), SI
	MOVQ xStride+24(FP), R13
	MOVQ w+32(FP), DI
	MOVQ k+40(FP), CX
	MOVQ rows+48(FP), DX
	LEAQ (SI)(R13*1), R8 // rows that there are not are never read
	LEAQ (SI)(R13*2), R9
	LEAQ (R8)(R13*2), R10

	VPBROADCASTD ones<>(SB), Y15
	VPXOR        Y0, Y0, Y0
	VPXOR        Y1, Y1, Y1
	VPXOR        Y2, Y2, Y2
	VPXOR        Y3, Y3, Y3
	VPXOR        Y4, Y4, Y4
	VPXOR        Y5, Y5, Y5
	VPXOR        Y6, Y6, Y6
	VPXOR        Y7, Y7, Y7
	CMPQ DX, $4
	JEQ  tile4
	CMPQ DX, $3
	JEQ  tile3
	CMPQ DX, $2
	JEQ  tile2
	TILELOOP(ABS1, TILE1, tile1)
	JMP  store
	TILELOOP(ABS2, TILE2, tile2)
	JMP  store
	TILELOOP(ABS3, TILE3, tile3)
	JMP  store
	TILELOOP(ABS4, TILE4, tile4)
store:
	STOREROW(Y0, Y1)
	STOREROW(Y2, Y3)
	STOREROW(Y4, Y5)
	STOREROW(Y6, Y7)
done:
	VZEROUPPER
	RET

// func gemvS8AVX2(acc *int32, x *int8, w *int8, n int, k int)
//
// One row of x by all blocks, one after another: the weights are one sequential stream.
#define STEP1(off, a, b) \
	PREFETCHT0   (1024+off*64)(DI);   \
	VPBROADCASTD (off*4)(SI), Y13;    \
	VPABSB       Y13, Y12;            \
	VMOVDQU      (off*64)(DI), Y8;    \
	VMOVDQU      (off*64+32)(DI), Y9; \
	PRODUCT(Y8, a);                   \
	PRODUCT(Y9, b)

TEXT ·gemvS8AVX2(SB), NOSPLIT, $0-40
	MOVQ acc+0(FP), R11
	MOVQ x+8(FP), R8
	MOVQ w+16(FP), DI
	MOVQ n+24(FP), DX
	MOVQ k+32(FP), R9

	VPBROADCASTD ones<>(SB), Y15
block:
	MOVQ  R8, SI
	MOVQ  R9, CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
loop: // sixteen k
	STEP1(0, Y0, Y1)
	STEP1(1, Y0, Y1)
	STEP1(2, Y0, Y1)
	STEP1(3, Y0, Y1)
	ADDQ $16, SI
	ADDQ $256, DI
	SUBQ $16, CX
	JGT  loop
	VMOVDQU Y0, (R11)
	VMOVDQU Y1, 32(R11)
	ADDQ $64, R11
	SUBQ $16, DX
	JGT  block
	VZEROUPPER
	RET

// ---- AVX512-VNNI: VPDPBUSD multiplies unsigned by signed bytes and adds four products in int32; a register is one block.
// x ^ 0x80 is x + 128 as unsigned, so each sum starts from -128 * (sum of its weight row).

DATA signs<>+0(SB)/4, $0x80808080
GLOBL signs<>(SB), RODATA|NOPTR, $4

// func gemvS8VNNI(acc *int32, x *int8, w *int8, sums *int32, n int, k int)
//
// One row of x by all blocks, one after another: the weights are one sequential stream. Streams side by side, which could share
// what is made of x, lie a multiple of 4 KB apart in most models; on Zen 5 they get half as much from the second-level cache.
// What comes is asked for 8 KB ahead: matrices of a model follow one another, and 2 KB made one sentence a tenth slower.
// Four sums, one for each k/4 % 4, hide the latency.
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
	MOVQ      R8, SI
	MOVQ      R9, CX
	VPSLLD    $7, (R10), Z0
	VPSUBD    Z0, Z30, Z0 // -128 * sums
	VPXORD    Z1, Z1, Z1
	VPXORD    Z2, Z2, Z2
	VPXORD    Z3, Z3, Z3
loop: // sixteen k, each four of x in all lanes
	VBROADCASTI32X4 (SI), Z4
	VPXORD     Z31, Z4, Z4
	VPSHUFD    $0x00, Z4, Z5
	VPSHUFD    $0x55, Z4, Z6
	VPSHUFD    $0xaa, Z4, Z7
	VPSHUFD    $0xff, Z4, Z8
	PREFETCHT0 8192(DI)
	PREFETCHT0 8256(DI)
	PREFETCHT0 8320(DI)
	PREFETCHT0 8384(DI)
	VPDPBUSD   (DI), Z5, Z0
	VPDPBUSD   64(DI), Z6, Z1
	VPDPBUSD   128(DI), Z7, Z2
	VPDPBUSD   192(DI), Z8, Z3
	ADDQ       $256, DI
	ADDQ       $16, SI
	SUBQ       $16, CX
	JGT        loop
	VPADDD     Z1, Z0, Z0
	VPADDD     Z3, Z2, Z2
	VPADDD     Z2, Z0, Z0
	VMOVDQU32  Z0, (R11)
	ADDQ       $64, R11
	ADDQ       $64, R10
	SUBQ       $16, DX
	JGT        block
	VZEROUPPER
	RET
