#include "textflag.h"
#include "go_asm.h"

// Int8 products on AVX512-VNNI of two rows of x and more: see tileVNNI. VPDPBUSD multiplies unsigned by signed bytes and adds four
// products in int32; a register is one block. x ^ 0x80 is x + 128 as unsigned, so each sum starts from -128 * (sum of its weight row).
//
// Up to six rows go by four blocks at a time: less would not hide the latency. From seven rows on up to twelve go by two: these blocks
// and the panel of x lie in the first level together, which four blocks of 512 k do not.

// What both keep in their frames, above the panel and what aligns it.
#define PANEL 16448(SP)      // where the panel begins
#define WAT 16456(SP)        // the blocks from here on
#define BLOCKS 16464(SP)     // how many
#define COLUMN 16472(SP)     // where they lie in rows of 32-bit elements, in bytes
#define OFF1 16480(SP)       // where block 1 lies beside block 0, in bytes; that of the last block if there are fewer
#define OFF2 16488(SP)
#define OFF3 16496(SP)
#define XAT 16488(SP)        // wideS8VNNI: the rows of the panel from here on
#define ROWAT 16496(SP)      // how many rows came before
#define GROUPS 16504(SP)     // how many groups are left
#define GROUPROWS 16512(SP)  // rows of this one
#define LARGER 16520(SP)     // groups left that have one row more than the others
#define FETCHAT 16528(SP)

DATA signs<>+0(SB)/4, $0x80808080
GLOBL signs<>(SB), RODATA|NOPTR, $4

// MAKEPANEL writes x ^ 0x80 into the frame, rows of k bytes one after another (rows without gaps are one long row), at a multiple of
// 64. The ports that multiply also do exclusive ors: here they are made once for all columns.
#define MAKEPANEL \
	MOVQ tileVNNI_x(R15), SI;      \
	MOVQ tileVNNI_xStride(R15), R13;\
	MOVQ tileVNNI_k(R15), BX;      \
	MOVQ tileVNNI_m(R15), DX;      \
	LEAQ 63(SP), AX;               \
	ANDQ $~63, AX;                 \
	MOVQ AX, PANEL;                \
	CMPQ R13, BX;                  \
	JNE  row;                      \
	IMULQ DX, BX;                  \
	MOVQ $1, DX;                   \
row:                            \
	MOVQ SI, R11;                  \
	MOVQ BX, CX;                   \
	SUBQ $256, CX;                 \
	JLT  sixteens;                 \
bytes256:                       \
	VPXORD    (R11), Z31, Z24;     \
	VPXORD    64(R11), Z31, Z25;   \
	VPXORD    128(R11), Z31, Z26;  \
	VPXORD    192(R11), Z31, Z27;  \
	VMOVDQU32 Z24, (AX);           \
	VMOVDQU32 Z25, 64(AX);         \
	VMOVDQU32 Z26, 128(AX);        \
	VMOVDQU32 Z27, 192(AX);        \
	ADDQ      $256, R11;           \
	ADDQ      $256, AX;            \
	SUBQ      $256, CX;            \
	JGE       bytes256;            \
sixteens:                       \
	ADDQ $256, CX;                 \
	JEQ  rowDone;                  \
bytes16:                        \
	VPXORD    (R11), X31, X24;     \
	VMOVDQU32 X24, (AX);           \
	ADDQ      $16, R11;            \
	ADDQ      $16, AX;             \
	SUBQ      $16, CX;             \
	JGT       bytes16;             \
rowDone:                        \
	ADDQ R13, SI;                  \
	DECQ DX;                       \
	JGT  row

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

// ---- Six to twelve rows by two blocks: Z0-Z23, row by row. Z24 and Z25 hold the blocks of these four k, Z26 the x, Z28 and Z29 what
// sums start from.

#define PAIR(off) \
	VMOVDQU32 (off*64)(DI)(R9*1), Z24; \
	VMOVDQU32 (off*64)(R10)(R9*1), Z25

#define BY2(x, a, b) \
	VPBROADCASTD x, Z26;   \
	VPDPBUSD Z24, Z26, a;  \
	VPDPBUSD Z25, Z26, b

#define WIDE6(off) \
	PAIR(off);                              \
	BY2((off*4)(AX), Z0, Z1);               \
	BY2((off*4)(AX)(BX*1), Z2, Z3);         \
	BY2((off*4)(AX)(BX*2), Z4, Z5);         \
	BY2((off*4)(AX)(R8*1), Z6, Z7);         \
	BY2((off*4)(AX)(BX*4), Z8, Z9);         \
	BY2((off*4)(AX)(R14*1), Z10, Z11)
#define WIDE7(off) WIDE6(off); BY2((off*4)(DX), Z12, Z13)
#define WIDE8(off) WIDE7(off); BY2((off*4)(DX)(BX*1), Z14, Z15)
#define WIDE9(off) WIDE8(off); BY2((off*4)(DX)(BX*2), Z16, Z17)
#define WIDE10(off) WIDE9(off); BY2((off*4)(DX)(R8*1), Z18, Z19)
#define WIDE11(off) WIDE10(off); BY2((off*4)(DX)(BX*4), Z20, Z21)
#define WIDE12(off) WIDE11(off); BY2((off*4)(DX)(R14*1), Z22, Z23)

// WIDELOOP is NARROWLOOP for these. It asks for four lines at R13 and four at R13 + SI.
#define WIDELOOP(rows, loop) \
	PCALIGN $64;              \
loop:                         \
	rows(0);                  \
	PREFETCHT0 (R13);         \
	PREFETCHT0 64(R13);       \
	rows(1);                  \
	PREFETCHT0 128(R13);      \
	PREFETCHT0 192(R13);      \
	rows(2);                  \
	PREFETCHT0 (R13)(SI*1);   \
	PREFETCHT0 64(R13)(SI*1); \
	rows(3);                  \
	PREFETCHT0 128(R13)(SI*1);\
	PREFETCHT0 192(R13)(SI*1);\
	ADDQ $16, AX;             \
	ADDQ $16, DX;             \
	ADDQ R12, R13;            \
	ADDQ $256, R9;            \
	JLT  loop

#define START(a, b)   \
	VMOVDQA32 Z28, a; \
	VMOVDQA32 Z29, b

// FROM loads one row's sums from R11 and goes on to the next row while there is one. AX: bytes from row to row.
#define FROM(a, b) \
	VMOVDQU32 (R11), a;       \
	VMOVDQU32 (R11)(SI*1), b; \
	ADDQ      AX, R11;        \
	DECQ      CX;             \
	JEQ       multiply

// TO is like FROM and stores.
#define TO(a, b) \
	VMOVDQU32 a, (R11);       \
	VMOVDQU32 b, (R11)(SI*1); \
	ADDQ      AX, R11;        \
	DECQ      CX;             \
	JEQ       stored

// FINISH turns one row's sums into floats at R11, as EpilogueF32 does: scales Z24 and Z25, x's at DX, biases at R8 or 0, not below
// 0 if R9, residual at DI or 0. Both blocks are read before either is written: they may be one, and residual may be dst.
#define FINISH(a, b, bias, relu, residual) \
	VBROADCASTSS (DX), Z26;       \
	VCVTDQ2PS a, a;               \
	VCVTDQ2PS b, b;               \
	VMULPS    Z24, Z26, Z27;      \
	VMULPS    Z25, Z26, Z26;      \
	VMULPS    Z27, a, a;          \
	VMULPS    Z26, b, b;          \
	TESTQ     R8, R8;             \
	JEQ       bias;               \
	VADDPS    (R8), a, a;         \
	VADDPS    (R8)(SI*1), b, b;   \
bias:                             \
	TESTQ     R9, R9;             \
	JEQ       relu;               \
	VMAXPS    a, Z30, a;          \ // 0 > x ? 0 : x
	VMAXPS    b, Z30, b;          \
relu:                             \
	TESTQ     DI, DI;             \
	JEQ       residual;           \
	VADDPS    (DI), a, a;         \
	VADDPS    (DI)(SI*1), b, b;   \
	ADDQ      AX, DI;             \
residual:                         \
	VMOVUPS   a, (R11);           \
	VMOVUPS   b, (R11)(SI*1);     \
	ADDQ      AX, R11;            \
	ADDQ      $4, DX;             \
	DECQ      CX;                 \
	JEQ       stored

// TEST stores one row's sums and compares them with what tileVNNI.tests has of the row at R8: whether some of block 0 pass goes into R9 as
// its lowest bit, of block 1 into R10. No branch depends on it: it would seldom be foreseen. Z24 and Z25 are scales, Z30 and Z31 extents.
#define TEST(a, b) \
	VMOVDQU32   a, (R11);              \
	VMOVDQU32   b, (R11)(SI*1);        \
	VCVTDQ2PS   a, a;                  \
	VCVTDQ2PS   b, b;                  \
	VMULPS.BCST (R8), Z30, Z26;        \
	VMULPS.BCST (R8), Z31, Z27;        \
	VMULPS      Z24, a, a;             \
	VMULPS      Z25, b, b;             \
	VADDPS      Z26, a, a;             \
	VADDPS      Z27, b, b;             \
	VCMPPS.BCST $0x15, 4(R8), a, K1;   \ // not less than, or NaN
	VCMPPS.BCST $0x15, 4(R8), b, K2;   \
	KMOVW       K1, BX;                \
	NEGL        BX;                    \ // carries unless it is 0
	ADCQ        R9, R9;                \
	KMOVW       K2, BX;                \
	NEGL        BX;                    \
	ADCQ        R10, R10;              \
	ADDQ        AX, R11;               \
	ADDQ        $8, R8;                \
	DECQ        CX;                    \
	JEQ         tested

// SUMSAT: R11, AX, SI, CX: the sums in acc of a group of rows from row on, bytes from row to row, OFF1, rows.
#define SUMSAT(row) \
	MOVQ  tileVNNI_n(R15), AX;   \
	SHLQ  $2, AX;                \
	MOVQ  row, R11;              \
	IMULQ AX, R11;               \
	ADDQ  tileVNNI_acc(R15), R11; \
	ADDQ  COLUMN, R11;           \
	MOVQ  OFF1, SI;              \
	MOVQ  GROUPROWS, CX

// func wideS8VNNI(t *tileVNNI)
TEXT ·wideS8VNNI(SB), 0, $16536-8
	MOVQ t+0(FP), R15
	VPBROADCASTD signs<>(SB), Z31
	VPXORD       Z30, Z30, Z30

	MAKEPANEL

	MOVQ tileVNNI_w(R15), AX
	MOVQ AX, WAT
	MOVQ tileVNNI_n(R15), AX
	SHRQ $4, AX
	MOVQ AX, BLOCKS
	MOVQ $0, COLUMN

blocks2:
	MOVQ tileVNNI_sums(R15), SI
	ADDQ COLUMN, SI
	XORQ AX, AX
	CMPQ BLOCKS, $2
	JLT  alone
	MOVQ $64, AX
alone:
	MOVQ AX, OFF1
	VMOVDQU32 (SI), Z24
	VMOVDQU32 (SI)(AX*1), Z25
	VPSLLD    $7, Z24, Z24
	VPSLLD    $7, Z25, Z25
	VPSUBD    Z24, Z30, Z28
	VPSUBD    Z25, Z30, Z29

	MOVQ WAT, AX
	ADDQ tileVNNI_next(R15), AX
	MOVQ AX, FETCHAT
	MOVQ PANEL, AX
	MOVQ AX, XAT
	MOVQ $0, ROWAT
	MOVQ tileVNNI_groups(R15), AX
	MOVQ AX, GROUPS
	MOVQ tileVNNI_larger(R15), AX
	MOVQ AX, LARGER
	MOVQ tileVNNI_rows(R15), AX
	MOVQ AX, GROUPROWS

group:
	// The first groups have one row more: once they are through, one less.
	CMPQ LARGER, $0
	JNE  sized
	DECQ GROUPROWS
sized:
	DECQ LARGER

	MOVQ tileVNNI_more(R15), AX
	TESTQ AX, AX
	JNE  continue
	START(Z0, Z1)
	START(Z2, Z3)
	START(Z4, Z5)
	START(Z6, Z7)
	START(Z8, Z9)
	START(Z10, Z11)
	START(Z12, Z13)
	START(Z14, Z15)
	START(Z16, Z17)
	START(Z18, Z19)
	START(Z20, Z21)
	START(Z22, Z23)
	JMP  multiply
continue:
	SUMSAT(ROWAT)
	FROM(Z0, Z1)
	FROM(Z2, Z3)
	FROM(Z4, Z5)
	FROM(Z6, Z7)
	FROM(Z8, Z9)
	FROM(Z10, Z11)
	FROM(Z12, Z13)
	FROM(Z14, Z15)
	FROM(Z16, Z17)
	FROM(Z18, Z19)
	FROM(Z20, Z21)
	FROM(Z22, Z23)
multiply:
	MOVQ tileVNNI_k(R15), BX
	MOVQ XAT, AX
	MOVQ BX, R9
	SHLQ $4, R9
	MOVQ WAT, DI
	ADDQ R9, DI          // the end of block 0
	MOVQ DI, R10
	CMPQ OFF1, $0
	JEQ  single
	ADDQ tileVNNI_wStride(R15), R10
single:
	NEGQ R9              // from the end of the blocks, up to 0
	LEAQ (BX)(BX*2), R8  // three rows of the panel
	LEAQ (BX)(BX*4), R14 // five
	LEAQ (AX)(R8*2), DX  // row six
	MOVQ FETCHAT, R13
	MOVQ tileVNNI_fetch(R15), R12

	// Where the floats will go: by then it is there.
	MOVQ  tileVNNI_dst(R15), SI
	TESTQ SI, SI
	JEQ   fetched
	CMPQ  tileVNNI_place(R15), $0
	JEQ   fetched
	MOVQ  tileVNNI_ld(R15), CX
	MOVQ  ROWAT, R11
	IMULQ CX, R11
	ADDQ  R11, SI
	ADDQ  COLUMN, SI
	MOVQ  GROUPROWS, R11
place:
	PREFETCHT0 (SI)
	PREFETCHT0 64(SI)
	ADDQ  CX, SI
	DECQ  R11
	JGT   place
fetched:
	MOVQ tileVNNI_second(R15), SI
	MOVQ GROUPROWS, CX
	CMPQ CX, $12
	JEQ  loop12
	CMPQ CX, $11
	JEQ  loop11
	CMPQ CX, $10
	JEQ  loop10
	CMPQ CX, $9
	JEQ  loop9
	CMPQ CX, $8
	JEQ  loop8
	CMPQ CX, $7
	JEQ  loop7
	WIDELOOP(WIDE6, loop6)
	JMP  store
	WIDELOOP(WIDE7, loop7)
	JMP  store
	WIDELOOP(WIDE8, loop8)
	JMP  store
	WIDELOOP(WIDE9, loop9)
	JMP  store
	WIDELOOP(WIDE10, loop10)
	JMP  store
	WIDELOOP(WIDE11, loop11)
	JMP  store
	WIDELOOP(WIDE12, loop12)
store:
	MOVQ R13, FETCHAT
	MOVQ ROWAT, DX
	ADDQ CX, ROWAT // CX is still GROUPROWS
	MOVQ CX, AX
	IMULQ BX, AX
	ADDQ AX, XAT
	MOVQ tileVNNI_dst(R15), R11
	TESTQ R11, R11
	JNE  floats
	SUMSAT(DX)
	MOVQ tileVNNI_tests(R15), R8
	TESTQ R8, R8
	JNE  tests
	TO(Z0, Z1)
	TO(Z2, Z3)
	TO(Z4, Z5)
	TO(Z6, Z7)
	TO(Z8, Z9)
	TO(Z10, Z11)
	TO(Z12, Z13)
	TO(Z14, Z15)
	TO(Z16, Z17)
	TO(Z18, Z19)
	TO(Z20, Z21)
	TO(Z22, Z23)
floats:
	MOVQ  COLUMN, BX
	MOVQ  OFF1, SI
	MOVQ  tileVNNI_ld(R15), AX
	MOVQ  DX, R10
	IMULQ AX, R10
	ADDQ  BX, R10           // from the first element to this row's block 0
	ADDQ  R10, R11
	MOVQ  tileVNNI_wScale(R15), R12
	ADDQ  BX, R12
	VMOVUPS (R12), Z24
	VMOVUPS (R12)(SI*1), Z25
	MOVQ  tileVNNI_residual(R15), DI
	TESTQ DI, DI
	JEQ   noResidual
	ADDQ  R10, DI
noResidual:
	MOVQ  tileVNNI_bias(R15), R8
	TESTQ R8, R8
	JEQ   noBias
	ADDQ  BX, R8
noBias:
	MOVQ  tileVNNI_relu(R15), R9
	SHLQ  $2, DX
	ADDQ  tileVNNI_xScale(R15), DX
	FINISH(Z0, Z1, bias0, relu0, res0)
	FINISH(Z2, Z3, bias1, relu1, res1)
	FINISH(Z4, Z5, bias2, relu2, res2)
	FINISH(Z6, Z7, bias3, relu3, res3)
	FINISH(Z8, Z9, bias4, relu4, res4)
	FINISH(Z10, Z11, bias5, relu5, res5)
	FINISH(Z12, Z13, bias6, relu6, res6)
	FINISH(Z14, Z15, bias7, relu7, res7)
	FINISH(Z16, Z17, bias8, relu8, res8)
	FINISH(Z18, Z19, bias9, relu9, res9)
	FINISH(Z20, Z21, bias10, relu10, res10)
	FINISH(Z22, Z23, bias11, relu11, res11)
tests:
	MOVQ  COLUMN, BX
	MOVQ  tileVNNI_wScale(R15), R12
	ADDQ  BX, R12
	VMOVUPS (R12), Z24
	VMOVUPS (R12)(SI*1), Z25
	MOVQ  tileVNNI_extent(R15), R12
	ADDQ  BX, R12
	VMOVUPS (R12), Z30
	VMOVUPS (R12)(SI*1), Z31
	CMPQ  tileVNNI_square(R15), $0
	JEQ   plain
	VMULPS Z30, Z30, Z30
	VMULPS Z31, Z31, Z31
plain:
	LEAQ  (R8)(DX*8), R8
	MOVQ  tileVNNI_marks(R15), R12
	SHRQ  $3, BX            // a block is 64 bytes of sums and 8 of marks
	ADDQ  BX, R12
	MOVQ  SI, R13
	SHRQ  $3, R13
	MOVQ  (R12), R9
	MOVQ  (R12)(R13*1), R10
	TEST(Z0, Z1)
	TEST(Z2, Z3)
	TEST(Z4, Z5)
	TEST(Z6, Z7)
	TEST(Z8, Z9)
	TEST(Z10, Z11)
	TEST(Z12, Z13)
	TEST(Z14, Z15)
	TEST(Z16, Z17)
	TEST(Z18, Z19)
	TEST(Z20, Z21)
	TEST(Z22, Z23)
tested:
	MOVQ  R10, (R12)(R13*1)
	MOVQ  R9, (R12)         // the same, if there is one block
	VPXORD Z30, Z30, Z30
stored:
	DECQ  GROUPS
	JGT   group

	MOVQ tileVNNI_wStride(R15), AX
	SHLQ $1, AX
	ADDQ AX, WAT
	ADDQ $128, COLUMN
	SUBQ $2, BLOCKS
	JGT  blocks2
	VZEROUPPER
	RET
