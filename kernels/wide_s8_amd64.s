#include "textflag.h"
#include "go_asm.h"
#include "tiles_s8_amd64.h"

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

// ---- The same by Winograd's inner product, for elements of -64 to 63: with x and w cut into groups of four, in turns called even (x0, w0)
// and odd (x1, w1), the sum of (x0 + w1)(x1 + w0) is that of x0 w0 + x1 w1, which is sought, and of x0 x1 and w0 w1, which are computed once
// a row. It takes half the multiplications and as many additions of bytes, which more ports do. x0 comes with 128 added to it, as unsigned:
// that adds 128 * (x1 + w0). Z24 to Z27 hold the even and odd groups of two blocks, Z28 and Z29 those of x, Z30 and Z31 their sums.

#define QUAD(off) \
	VMOVDQU32 (off*128)(DI)(R9*1), Z24;     \
	VMOVDQU32 (off*128+64)(DI)(R9*1), Z25;  \
	VMOVDQU32 (off*128)(R10)(R9*1), Z26;    \
	VMOVDQU32 (off*128+64)(R10)(R9*1), Z27

#define CROSS(even, odd, a, b) \
	VPBROADCASTD even, Z28;    \
	VPBROADCASTD odd, Z29;     \
	VPADDB       Z28, Z25, Z30; \
	VPADDB       Z29, Z24, Z31; \
	VPDPBUSD     Z31, Z30, a;  \
	VPADDB       Z28, Z27, Z28; \
	VPADDB       Z29, Z26, Z29; \
	VPDPBUSD     Z29, Z28, b

#define CROSS6(off) \
	QUAD(off);                                                \
	CROSS((off*8)(AX), (off*8+4)(AX), Z0, Z1);                \
	CROSS((off*8)(AX)(BX*1), (off*8+4)(AX)(BX*1), Z2, Z3);    \
	CROSS((off*8)(AX)(BX*2), (off*8+4)(AX)(BX*2), Z4, Z5);    \
	CROSS((off*8)(AX)(R8*1), (off*8+4)(AX)(R8*1), Z6, Z7);    \
	CROSS((off*8)(AX)(BX*4), (off*8+4)(AX)(BX*4), Z8, Z9);    \
	CROSS((off*8)(AX)(R14*1), (off*8+4)(AX)(R14*1), Z10, Z11)
#define CROSS7(off) CROSS6(off); CROSS((off*8)(DX), (off*8+4)(DX), Z12, Z13)
#define CROSS8(off) CROSS7(off); CROSS((off*8)(DX)(BX*1), (off*8+4)(DX)(BX*1), Z14, Z15)
#define CROSS9(off) CROSS8(off); CROSS((off*8)(DX)(BX*2), (off*8+4)(DX)(BX*2), Z16, Z17)
#define CROSS10(off) CROSS9(off); CROSS((off*8)(DX)(R8*1), (off*8+4)(DX)(R8*1), Z18, Z19)
#define CROSS11(off) CROSS10(off); CROSS((off*8)(DX)(BX*4), (off*8+4)(DX)(BX*4), Z20, Z21)
#define CROSS12(off) CROSS11(off); CROSS((off*8)(DX)(R14*1), (off*8+4)(DX)(R14*1), Z22, Z23)

// CROSSLOOP is WIDELOOP for these.
#define CROSSLOOP(rows, loop) \
	PCALIGN $64;              \
loop:                         \
	rows(0);                  \
	PREFETCHT0 (R13);         \
	PREFETCHT0 64(R13);       \
	PREFETCHT0 128(R13);      \
	PREFETCHT0 192(R13);      \
	rows(1);                  \
	PREFETCHT0 (R13)(SI*1);   \
	PREFETCHT0 64(R13)(SI*1); \
	PREFETCHT0 128(R13)(SI*1);\
	PREFETCHT0 192(R13)(SI*1);\
	ADDQ $16, AX;             \
	ADDQ $16, DX;             \
	ADDQ R12, R13;            \
	ADDQ $256, R9;            \
	JLT  loop

#define CROSSPANEL 16536(SP) // of each row of x: the sum of x0 x1 + 128 x1

// CROSSX adds those of up to 64 bytes of a row in Z24. Every second lane multiplies by 0.
#define CROSSX \
	VPSRLQ   $32, Z24, Z25; \
	VPDPBUSD Z25, Z24, Z26

// CROSSW adds w0 w1 + 128 w0 of eight columns of two blocks.
#define CROSSW(off, a, b) \
	VPXORD   (off*128+64)(DI), Z27, Z24;  \
	VPDPBUSD (off*128)(DI), Z24, a;       \
	VPXORD   (off*128+64)(R10), Z27, Z25; \
	VPDPBUSD (off*128)(R10), Z25, b

// CROSSSTART takes what belongs to row n of x off what belongs to the rows of w.
#define CROSSSTART(n, a, b) \
	VPSUBD.BCST (n*4)(R11), Z28, a; \
	VPSUBD.BCST (n*4)(R11), Z29, b

// MORE adds one row's sums at R11 and goes on like FROM.
#define MORE(a, b) \
	VPADDD (R11), a, a;       \
	VPADDD (R11)(SI*1), b, b; \
	ADDQ   AX, R11;           \
	DECQ   CX;                \
	JEQ    multiply

// ROWS12 is a macro for each row's two registers.
#define ROWS12(row) \
	row(Z0, Z1);    \
	row(Z2, Z3);    \
	row(Z4, Z5);    \
	row(Z6, Z7);    \
	row(Z8, Z9);    \
	row(Z10, Z11);  \
	row(Z12, Z13);  \
	row(Z14, Z15);  \
	row(Z16, Z17);  \
	row(Z18, Z19);  \
	row(Z20, Z21);  \
	row(Z22, Z23)

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

// ASKROWS asks for what two blocks have beside their weights, from AX bytes on, while others are multiplied: a model's come from
// memory, since nothing of it is read twice in a token. Only where floats come of it. Uses SI.
#define ASKROWS(asked) \
	CMPQ tileVNNI_dst(R15), $0;    \
	JEQ  asked;                    \
	MOVQ tileVNNI_sums(R15), SI;   \
	PREFETCHT0 (SI)(AX*1);         \
	PREFETCHT0 64(SI)(AX*1);       \
	MOVQ tileVNNI_wScale(R15), SI; \
	PREFETCHT0 (SI)(AX*1);         \
	PREFETCHT0 64(SI)(AX*1);       \
	MOVQ tileVNNI_bias(R15), SI;   \
	PREFETCHT0 (SI)(AX*1);         \
	PREFETCHT0 64(SI)(AX*1);       \
asked:

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
TEXT ·wideS8VNNI(SB), 0, $16792-8
	MOVQ t+0(FP), R15
	XORQ AX, AX
	ASKROWS(first)
	VPXORD       Z30, Z30, Z30
	VPBROADCASTD signs<>(SB), Z31
	CMPQ tileVNNI_starts(R15), $0
	JEQ  panel
	VPBROADCASTQ signs<>(SB), Z31 // even groups alone
panel:
	MAKEPANEL

	CMPQ tileVNNI_starts(R15), $0
	JEQ  rows
	MOVQ tileVNNI_k(R15), BX
	MOVQ BX, CX
	ANDQ $63, CX
	MOVQ $1, DX
	SHLQ CX, DX
	DECQ DX
	KMOVQ DX, K1                 // what is left of a row behind its multiples of 64
	MOVQ PANEL, AX
	MOVQ tileVNNI_m(R15), DX
	LEAQ CROSSPANEL, R11
crossRow:
	VPXORD Z26, Z26, Z26
	MOVQ BX, CX
	SUBQ $64, CX
	JLT  crossLeft
cross64:
	VMOVDQU32 (AX), Z24
	CROSSX
	ADDQ $64, AX
	SUBQ $64, CX
	JGE  cross64
crossLeft:
	ADDQ $64, CX
	VMOVDQU8.Z (AX), K1, Z24
	CROSSX
	ADDQ CX, AX
	VEXTRACTI64X4 $1, Z26, Y0
	VPADDD        Y0, Y26, Y0
	VEXTRACTI128  $1, Y0, X1
	VPADDD        X1, X0, X0
	VPSHUFD       $0x4e, X0, X1
	VPADDD        X1, X0, X0
	VMOVD         X0, (R11)
	ADDQ $4, R11
	DECQ DX
	JGT  crossRow
rows:
	MOVQ tileVNNI_w(R15), AX
	MOVQ AX, WAT
	MOVQ tileVNNI_n(R15), AX
	SHRQ $4, AX
	MOVQ AX, BLOCKS
	MOVQ $0, COLUMN

blocks2:
	XORQ AX, AX
	CMPQ BLOCKS, $2
	JLT  alone
	MOVQ $64, AX
alone:
	MOVQ AX, OFF1
	MOVQ tileVNNI_starts(R15), SI
	TESTQ SI, SI
	JNE  crossed
	MOVQ tileVNNI_sums(R15), SI
	ADDQ COLUMN, SI
	VMOVDQU32 (SI), Z24
	VMOVDQU32 (SI)(AX*1), Z25
	VPSLLD    $7, Z24, Z24
	VPSLLD    $7, Z25, Z25
	VPSUBD    Z24, Z30, Z28
	VPSUBD    Z25, Z30, Z29
	JMP  started
crossed:
	ADDQ COLUMN, SI
	CMPQ tileVNNI_ready(R15), $0
	JNE  started
	MOVQ WAT, DI
	MOVQ DI, R10
	TESTQ AX, AX
	JEQ  crossAlone
	ADDQ tileVNNI_wStride(R15), R10
crossAlone:
	VPBROADCASTD signs<>(SB), Z27
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	MOVQ tileVNNI_k(R15), CX
crossBlocks:
	CROSSW(0, Z0, Z1)
	CROSSW(1, Z2, Z3)
	ADDQ $256, DI
	ADDQ $256, R10
	SUBQ $16, CX
	JGT  crossBlocks
	VPADDD    Z2, Z0, Z0
	VPADDD    Z3, Z1, Z1
	VPSUBD    Z0, Z30, Z0
	VPSUBD    Z1, Z30, Z1
	VMOVDQU32 Z1, (SI)(AX*1)
	VMOVDQU32 Z0, (SI)
started:
	MOVQ COLUMN, AX
	ADDQ $128, AX
	ASKROWS(next)
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

	MOVQ  tileVNNI_starts(R15), SI
	TESTQ SI, SI
	JNE   crossStart
	MOVQ tileVNNI_more(R15), AX
	TESTQ AX, AX
	JNE  continue
	ROWS12(START)
	JMP  multiply
continue:
	SUMSAT(ROWAT)
	ROWS12(FROM)
crossStart:
	ADDQ COLUMN, SI
	MOVQ OFF1, AX
	VMOVDQU32 (SI), Z28
	VMOVDQU32 (SI)(AX*1), Z29
	LEAQ CROSSPANEL, R11
	MOVQ ROWAT, AX
	LEAQ (R11)(AX*4), R11
	CROSSSTART(0, Z0, Z1)
	CROSSSTART(1, Z2, Z3)
	CROSSSTART(2, Z4, Z5)
	CROSSSTART(3, Z6, Z7)
	CROSSSTART(4, Z8, Z9)
	CROSSSTART(5, Z10, Z11)
	CROSSSTART(6, Z12, Z13)
	CROSSSTART(7, Z14, Z15)
	CROSSSTART(8, Z16, Z17)
	CROSSSTART(9, Z18, Z19)
	CROSSSTART(10, Z20, Z21)
	CROSSSTART(11, Z22, Z23)
	CMPQ tileVNNI_more(R15), $0
	JEQ  multiply
	SUMSAT(ROWAT)
	MORE(Z0, Z1)
	MORE(Z2, Z3)
	MORE(Z4, Z5)
	MORE(Z6, Z7)
	MORE(Z8, Z9)
	MORE(Z10, Z11)
	MORE(Z12, Z13)
	MORE(Z14, Z15)
	MORE(Z16, Z17)
	MORE(Z18, Z19)
	MORE(Z20, Z21)
	MORE(Z22, Z23)
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
	CMPQ tileVNNI_starts(R15), $0
	JNE  crossing
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
	JMP  store
crossing:
	CMPQ CX, $12
	JEQ  cross12
	CMPQ CX, $11
	JEQ  cross11
	CMPQ CX, $10
	JEQ  cross10
	CMPQ CX, $9
	JEQ  cross9
	CMPQ CX, $8
	JEQ  cross8
	CMPQ CX, $7
	JEQ  cross7
	CROSSLOOP(CROSS6, cross6)
	JMP  store
	CROSSLOOP(CROSS7, cross7)
	JMP  store
	CROSSLOOP(CROSS8, cross8)
	JMP  store
	CROSSLOOP(CROSS9, cross9)
	JMP  store
	CROSSLOOP(CROSS10, cross10)
	JMP  store
	CROSSLOOP(CROSS11, cross11)
	JMP  store
	CROSSLOOP(CROSS12, cross12)
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
	ROWS12(TO)
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
	ROWS12(TEST)
tested:
	MOVQ  R10, (R12)(R13*1)
	MOVQ  R9, (R12)         // the same, if there is one block
	VPXORD Z30, Z30, Z30
stored:
	DECQ  GROUPS
	JGT   group
	VPXORD Z30, Z30, Z30

	MOVQ tileVNNI_wStride(R15), AX
	SHLQ $1, AX
	ADDQ AX, WAT
	ADDQ $128, COLUMN
	SUBQ $2, BLOCKS
	JGT  blocks2
	VZEROUPPER
	RET
