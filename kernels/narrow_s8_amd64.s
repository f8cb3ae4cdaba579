#include "textflag.h"
#include "go_asm.h"
#include "tiles_s8_amd64.h"

// Int8 products on AVX512-VNNI of two rows of x and more: see tileVNNI. VPDPBUSD multiplies unsigned by signed bytes and adds four
// products in int32; a register is one block. x ^ 0x80 is x + 128 as unsigned, so each sum starts from -128 * (sum of its weight row).
//
// Up to six rows go by four blocks at a time: less would not hide the latency. From seven rows on up to twelve go by two: these blocks
// and the panel of x lie in the first level together, which four blocks of 512 k do not.

// ---- Up to six rows by four blocks: Z0-Z23, row by row. Z24-Z27 hold the blocks of these four k, Z28 the x.

#define WEIGHTS(off) \
	VMOVDQU32 (off*64)(DI)(R9*1), Z24;  \
	VMOVDQU32 (off*64)(R10)(R9*1), Z25; \
	VMOVDQU32 (off*64)(R11)(R9*1), Z26; \
	VMOVDQU32 (off*64)(R12)(R9*1), Z27

#define BY4(x, a, b, c, d)     \
	VPBROADCASTD x, Z28;       \
	VPDPBUSD Z24, Z28, a;      \
	VPDPBUSD Z25, Z28, b;      \
	VPDPBUSD Z26, Z28, c;      \
	VPDPBUSD Z27, Z28, d

#define ROWS1(off) WEIGHTS(off); BY4((off*4)(AX), Z0, Z1, Z2, Z3)
#define ROWS2(off) ROWS1(off); BY4((off*4)(AX)(BX*1), Z4, Z5, Z6, Z7)
#define ROWS3(off) ROWS2(off); BY4((off*4)(AX)(BX*2), Z8, Z9, Z10, Z11)
#define ROWS4(off) ROWS3(off); BY4((off*4)(AX)(R8*1), Z12, Z13, Z14, Z15)
#define ROWS5(off) ROWS4(off); BY4((off*4)(AX)(BX*4), Z16, Z17, Z18, Z19)
#define ROWS6(off) ROWS5(off); BY4((off*4)(AX)(R14*1), Z20, Z21, Z22, Z23)

// NARROWLOOP is one loop over all columns, sixteen at a time: R9 goes up to 0.
#define NARROWLOOP(rows, loop) \
	PCALIGN $64;          \
loop:                     \
	rows(0);              \
	AHEAD(0);             \
	rows(1);              \
	AHEAD(256);           \
	rows(2);              \
	AHEAD(512);           \
	rows(3);              \
	AHEAD(768);           \
	ADDQ $16, AX;         \
	ADDQ $1024, R13;      \
	ADDQ $256, R9;        \
	JLT  loop

// AHEAD asks for four lines of what comes next, as many as were just multiplied.
#define AHEAD(off) \
	PREFETCHT1 (off)(R13);     \
	PREFETCHT1 (off+64)(R13);  \
	PREFETCHT1 (off+128)(R13); \
	PREFETCHT1 (off+192)(R13)

// START4 sets the sums of one block, all rows, to -128 * sums, sums at (p).
#define START4(p, a, b, c, d, e, f) \
	VMOVDQU32 (p), Z24;            \
	VPSLLD    $7, Z24, Z24;        \
	VPSUBD    Z24, Z30, a;         \
	VMOVDQA32 a, b;                \
	VMOVDQA32 a, c;                \
	VMOVDQA32 a, d;                \
	VMOVDQA32 a, e;                \
	VMOVDQA32 a, f

// FROM4 loads one row's four sums from DX, with its blocks at DX + SI, + R11, + CX, and goes on to the next row while there is one.
#define FROM4(a, b, c, d) \
	VMOVDQU32 (DX), a;        \
	VMOVDQU32 (DX)(SI*1), b;  \
	VMOVDQU32 (DX)(R11*1), c; \
	VMOVDQU32 (DX)(CX*1), d;  \
	ADDQ      AX, DX;         \
	DECQ      R8;             \
	JEQ       multiply

// TO4 is like FROM4 and stores.
#define TO4(a, b, c, d) \
	VMOVDQU32 a, (DX);        \
	VMOVDQU32 b, (DX)(SI*1);  \
	VMOVDQU32 c, (DX)(R11*1); \
	VMOVDQU32 d, (DX)(CX*1);  \
	ADDQ      AX, DX;         \
	DECQ      R8;             \
	JEQ       stored

// PLACES: DX, SI, R11, CX: the four blocks of sums, AX from row to row, R8 rows.
#define PLACES \
	MOVQ tileVNNI_acc(R15), DX; \
	ADDQ COLUMN, DX;            \
	MOVQ OFF1, SI;              \
	MOVQ OFF2, R11;             \
	MOVQ OFF3, CX;              \
	MOVQ tileVNNI_n(R15), AX;   \
	SHLQ $2, AX;                \
	MOVQ tileVNNI_m(R15), R8

// func narrowS8VNNI(t *tileVNNI)
TEXT ·narrowS8VNNI(SB), 0, $16536-8
	MOVQ t+0(FP), R15
	VPBROADCASTD signs<>(SB), Z31
	VPXORD       Z30, Z30, Z30
	MAKEPANEL

	MOVQ tileVNNI_w(R15), AX
	MOVQ AX, WAT
	ADDQ tileVNNI_next(R15), AX
	MOVQ AX, FETCHAT
	MOVQ tileVNNI_n(R15), AX
	SHRQ $4, AX
	MOVQ AX, BLOCKS
	MOVQ $0, COLUMN

blocks4:
	MOVQ    BLOCKS, DX
	XORQ    AX, AX
	CMPQ    DX, $2
	JLT     two
	ADDQ    $64, AX
two:
	MOVQ    AX, OFF1
	CMPQ    DX, $3
	JLT     three
	ADDQ    $64, AX
three:
	MOVQ    AX, OFF2
	CMPQ    DX, $4
	JLT     four
	ADDQ    $64, AX
four:
	MOVQ    AX, OFF3

	CMPQ tileVNNI_more(R15), $0
	JNE  continue
	MOVQ tileVNNI_sums(R15), DX
	ADDQ COLUMN, DX
	START4(DX, Z0, Z4, Z8, Z12, Z16, Z20)
	MOVQ OFF1, AX
	ADDQ DX, AX
	START4(AX, Z1, Z5, Z9, Z13, Z17, Z21)
	MOVQ OFF2, AX
	ADDQ DX, AX
	START4(AX, Z2, Z6, Z10, Z14, Z18, Z22)
	MOVQ OFF3, AX
	ADDQ DX, AX
	START4(AX, Z3, Z7, Z11, Z15, Z19, Z23)
	JMP  multiply
continue:
	PLACES
	FROM4(Z0, Z1, Z2, Z3)
	FROM4(Z4, Z5, Z6, Z7)
	FROM4(Z8, Z9, Z10, Z11)
	FROM4(Z12, Z13, Z14, Z15)
	FROM4(Z16, Z17, Z18, Z19)
	FROM4(Z20, Z21, Z22, Z23)
multiply:
	// DI, R10, R11, R12: the ends of four blocks of weights, or of the last there is.
	MOVQ tileVNNI_k(R15), BX
	MOVQ BX, R9
	SHLQ $4, R9
	MOVQ tileVNNI_wStride(R15), CX
	SHRQ $6, CX         // a block is 64 bytes further in a row of sums
	MOVQ WAT, DI
	ADDQ R9, DI
	MOVQ OFF1, R10
	IMULQ CX, R10
	ADDQ DI, R10
	MOVQ OFF2, R11
	IMULQ CX, R11
	ADDQ DI, R11
	MOVQ OFF3, R12
	IMULQ CX, R12
	ADDQ DI, R12
	MOVQ FETCHAT, R13
	CMPQ tileVNNI_next(R15), $0
	JNE  ahead
	MOVQ R12, R13       // what lies behind the four
ahead:
	MOVQ PANEL, AX
	LEAQ (BX)(BX*2), R8  // three rows of the panel
	LEAQ (BX)(BX*4), R14 // five
	NEGQ R9              // from the end of the blocks, up to 0
	MOVQ tileVNNI_m(R15), CX
	CMPQ CX, $6
	JEQ  loop6
	CMPQ CX, $5
	JEQ  loop5
	CMPQ CX, $4
	JEQ  loop4
	CMPQ CX, $3
	JEQ  loop3
	CMPQ CX, $2
	JEQ  loop2
	NARROWLOOP(ROWS1, loop1)
	JMP  store
	NARROWLOOP(ROWS2, loop2)
	JMP  store
	NARROWLOOP(ROWS3, loop3)
	JMP  store
	NARROWLOOP(ROWS4, loop4)
	JMP  store
	NARROWLOOP(ROWS5, loop5)
	JMP  store
	NARROWLOOP(ROWS6, loop6)
store:
	MOVQ R13, FETCHAT
	PLACES
	TO4(Z0, Z1, Z2, Z3)
	TO4(Z4, Z5, Z6, Z7)
	TO4(Z8, Z9, Z10, Z11)
	TO4(Z12, Z13, Z14, Z15)
	TO4(Z16, Z17, Z18, Z19)
	TO4(Z20, Z21, Z22, Z23)
stored:
	MOVQ tileVNNI_wStride(R15), AX
	SHLQ $2, AX
	ADDQ AX, WAT
	ADDQ $256, COLUMN
	SUBQ $4, BLOCKS
	JGT  blocks4
	VZEROUPPER
	RET
