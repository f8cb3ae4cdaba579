#include "textflag.h"

// Int8 products on amd64: one tile of rows of x by blocks of sixteen weight rows, and one row of x by all blocks.
// Weights are in N16K4: each 64 bytes are sixteen rows by four k.
//
// A tile at the edge repeats its last row or block: the same sums are computed and stored twice, and one body serves
// all sizes.

// What gemmS8VNNI keeps in its frame, above the panel and what aligns it.
#define BLOCKS 16448(SP) // blocks from here on
#define OFF1 16456(SP)   // where block 1 lies in a row of acc, in bytes; that of the last block if there are fewer
#define OFF2 16464(SP)
#define OFF3 16472(SP)
#define ROWSLEFT 16480(SP)
#define GROUPSLEFT 16488(SP)
#define GROUPROWS 16496(SP)
#define PANEL 16504(SP)
#define FETCHAT 16512(SP)
#define ACCROW 16520(SP)
#define SUMSAT 16528(SP)
#define WAT 16536(SP)
#define ACCAT 16544(SP)
#define XAT 16552(SP)

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

// func gemmS8VNNI(acc *int32, x *int8, xStride int, w *int8, wStride int, sums *int32, k int, m int, n int, groups int, more int, fetch int, next int)
//
// A tile is up to six rows of x by four blocks: Z0-Z23, row by row. Z24-Z27 hold the blocks of these four k, Z28 the x.
// The two ports that multiply also do exclusive ors, so x ^ 0x80 is made once for all columns, into the frame, from where loads broadcast
// it: m*k is at most XPANEL. The m rows are split into groups that differ by one row at most, and each row count has its own
// loop: no product is wasted. While the groups pass by four blocks of weights, they bring the next four into the second level, each its
// share: fetch bytes every sixteen k, at most four lines. With next they fetch from w + next on instead. more is 0 to start from -128 * sums, 1 to add to acc.
#define XPANEL 16384

#define WEIGHTS(off) \
	VMOVDQU32 (off*64)(DI)(R9*1), Z24;  \
	VMOVDQU32 (off*64)(R10)(R9*1), Z25; \
	VMOVDQU32 (off*64)(R11)(R9*1), Z26; \
	VMOVDQU32 (off*64)(R12)(R9*1), Z27

#define MULTIPLY(a, b, c, d) \
	VPDPBUSD Z24, Z28, a;    \
	VPDPBUSD Z25, Z28, b;    \
	VPDPBUSD Z26, Z28, c;    \
	VPDPBUSD Z27, Z28, d

#define ROWS1(off) WEIGHTS(off); VPBROADCASTD (off*4)(AX), Z28; MULTIPLY(Z0, Z1, Z2, Z3)
#define ROWS2(off) ROWS1(off); VPBROADCASTD (off*4)(AX)(BX*1), Z28; MULTIPLY(Z4, Z5, Z6, Z7)
#define ROWS3(off) ROWS2(off); VPBROADCASTD (off*4)(AX)(BX*2), Z28; MULTIPLY(Z8, Z9, Z10, Z11)
#define ROWS4(off) ROWS3(off); VPBROADCASTD (off*4)(AX)(R8*1), Z28; MULTIPLY(Z12, Z13, Z14, Z15)
#define ROWS5(off) ROWS4(off); VPBROADCASTD (off*4)(AX)(BX*4), Z28; MULTIPLY(Z16, Z17, Z18, Z19)
#define ROWS6(off) ROWS5(off); VPBROADCASTD (off*4)(AX)(R14*1), Z28; MULTIPLY(Z20, Z21, Z22, Z23)

#define FETCH(off) PREFETCHT1 (off*64)(R13)

// SIXTEEN is one loop over all columns, sixteen at a time: R9 goes up to 0.
#define SIXTEEN(rows, loop) \
	PCALIGN $64;   \
loop:              \
	rows(0);       \
	FETCH(0);      \
	rows(1);       \
	FETCH(1);      \
	rows(2);       \
	FETCH(2);      \
	rows(3);       \
	FETCH(3);      \
	ADDQ $16, AX;  \
	ADDQ DX, R13;  \
	ADDQ $256, R9; \
	JLT  loop

// START sets the sums of one block, all rows, to -128 * sums, sums at (p).
#define START(p, a, b, c, d, e, f) \
	VMOVDQU32 (p), Z24;            \
	VPSLLD    $7, Z24, Z24;        \
	VPSUBD    Z24, Z30, a;         \
	VMOVDQA32 a, b;                \
	VMOVDQA32 a, c;                \
	VMOVDQA32 a, d;                \
	VMOVDQA32 a, e;                \
	VMOVDQA32 a, f

// FROM loads one row's four sums from R15, with its blocks at R15 + SI, + R14, + CX, and goes on to the next row while there is one.
#define FROM(a, b, c, d) \
	VMOVDQU32 (R15), a;       \
	VMOVDQU32 (R15)(SI*1), b; \
	VMOVDQU32 (R15)(R14*1), c; \
	VMOVDQU32 (R15)(CX*1), d; \
	ADDQ      AX, R15;        \
	DECQ      R8;             \
	JEQ       multiply

// TO is like FROM and stores.
#define TO(a, b, c, d) \
	VMOVDQU32 a, (R15);       \
	VMOVDQU32 b, (R15)(SI*1); \
	VMOVDQU32 c, (R15)(R14*1); \
	VMOVDQU32 d, (R15)(CX*1); \
	ADDQ      AX, R15;        \
	DECQ      R8;             \
	JEQ       stored

// PLACES: R15, SI, R14, CX: the group's four blocks of sums, AX from row to row, R8 rows.
#define PLACES \
	MOVQ ACCROW, R15;    \
	MOVQ OFF1, SI;       \
	MOVQ OFF2, R14;      \
	MOVQ OFF3, CX;       \
	MOVQ n+64(FP), AX;   \
	SHLQ $2, AX;         \
	MOVQ GROUPROWS, R8

TEXT ·gemmS8VNNI(SB), 0, $16560-104
	VPBROADCASTD signs<>(SB), Z31
	VPXORD       Z30, Z30, Z30

	// The panel: rows of k bytes one after another, at a multiple of 64.
	MOVQ x+8(FP), SI
	MOVQ xStride+16(FP), R13
	MOVQ k+48(FP), BX
	MOVQ m+56(FP), R15
	LEAQ 63(SP), AX
	ANDQ $~63, AX
	MOVQ AX, PANEL
	CMPQ R13, BX
	JNE  row
	IMULQ R15, BX // rows without gaps are one long row
	MOVQ $1, R15
row:
	MOVQ SI, R14
	MOVQ BX, CX
	SUBQ $256, CX
	JLT  sixtyfours
bytes256:
	VPXORD    (R14), Z31, Z24
	VPXORD    64(R14), Z31, Z25
	VPXORD    128(R14), Z31, Z26
	VPXORD    192(R14), Z31, Z27
	VMOVDQU32 Z24, (AX)
	VMOVDQU32 Z25, 64(AX)
	VMOVDQU32 Z26, 128(AX)
	VMOVDQU32 Z27, 192(AX)
	ADDQ      $256, R14
	ADDQ      $256, AX
	SUBQ      $256, CX
	JGE       bytes256
sixtyfours:
	ADDQ $256, CX
	JEQ  rowDone
bytes16:
	VPXORD    (R14), X31, X24
	VMOVDQU32 X24, (AX)
	ADDQ      $16, R14
	ADDQ      $16, AX
	SUBQ      $16, CX
	JGT       bytes16
rowDone:
	ADDQ R13, SI
	DECQ R15
	JGT  row

	MOVQ n+64(FP), AX
	SHRQ $4, AX
	MOVQ AX, BLOCKS
	MOVQ next+96(FP), AX
	ADDQ w+24(FP), AX
	MOVQ AX, FETCHAT
	MOVQ sums+40(FP), AX
	MOVQ AX, SUMSAT
	MOVQ w+24(FP), AX
	MOVQ AX, WAT
	MOVQ acc+0(FP), AX
	MOVQ AX, ACCAT

blocks4:
	// DI, R10, R11, R12: four blocks of weights, or the last there is.
	MOVQ    BLOCKS, DX
	MOVQ    wStride+32(FP), CX
	MOVQ    WAT, DI
	MOVQ    k+48(FP), AX
	SHLQ    $4, AX
	ADDQ    AX, DI // its end
	MOVQ    DI, R10
	XORQ    AX, AX
	CMPQ    DX, $2
	JLT     two
	ADDQ    CX, R10
	ADDQ    $64, AX
two:
	MOVQ    AX, OFF1
	MOVQ    R10, R11
	CMPQ    DX, $3
	JLT     three
	ADDQ    CX, R11
	ADDQ    $64, AX
three:
	MOVQ    AX, OFF2
	MOVQ    R11, R12
	CMPQ    DX, $4
	JLT     four
	ADDQ    CX, R12
	ADDQ    $64, AX
four:
	MOVQ    AX, OFF3
	MOVQ    next+96(FP), AX
	TESTQ   AX, AX
	JNE     fetches
	MOVQ    R12, FETCHAT // what lies behind the four
fetches:
	MOVQ    PANEL, AX
	MOVQ    AX, XAT
	MOVQ    ACCAT, AX
	MOVQ    AX, ACCROW
	MOVQ    m+56(FP), AX
	MOVQ    AX, ROWSLEFT
	MOVQ    groups+72(FP), R15
	MOVQ    R15, GROUPSLEFT

group:
	// As many rows as make the rest even: ROWSLEFT / GROUPSLEFT, rounded up, which is 1 to 6.
	MOVQ ROWSLEFT, AX
	MOVQ GROUPSLEFT, CX
	XORQ DX, DX
rows:
	INCQ DX
	SUBQ CX, AX
	JGT  rows
	MOVQ DX, GROUPROWS
	SUBQ DX, ROWSLEFT
	DECQ GROUPSLEFT

	CMPQ more+80(FP), $0
	JNE  continue
	MOVQ SUMSAT, R15
	START(R15, Z0, Z4, Z8, Z12, Z16, Z20)
	MOVQ OFF1, AX
	ADDQ R15, AX
	START(AX, Z1, Z5, Z9, Z13, Z17, Z21)
	MOVQ OFF2, AX
	ADDQ R15, AX
	START(AX, Z2, Z6, Z10, Z14, Z18, Z22)
	MOVQ OFF3, AX
	ADDQ R15, AX
	START(AX, Z3, Z7, Z11, Z15, Z19, Z23)
	JMP  multiply
continue:
	PLACES
	FROM(Z0, Z1, Z2, Z3)
	FROM(Z4, Z5, Z6, Z7)
	FROM(Z8, Z9, Z10, Z11)
	FROM(Z12, Z13, Z14, Z15)
	FROM(Z16, Z17, Z18, Z19)
	FROM(Z20, Z21, Z22, Z23)
multiply:
	MOVQ XAT, AX
	MOVQ k+48(FP), BX
	LEAQ (BX)(BX*2), R8  // three rows of the panel
	LEAQ (BX)(BX*4), R14 // five
	MOVQ BX, R9
	SHLQ $4, R9          // from the end of the blocks, up to 0
	NEGQ R9
	MOVQ FETCHAT, R13
	MOVQ fetch+88(FP), DX
	MOVQ GROUPROWS, R15
	CMPQ R15, $6
	JEQ  loop6
	CMPQ R15, $5
	JEQ  loop5
	CMPQ R15, $4
	JEQ  loop4
	CMPQ R15, $3
	JEQ  loop3
	CMPQ R15, $2
	JEQ  loop2
	SIXTEEN(ROWS1, loop1)
	JMP  store
	SIXTEEN(ROWS2, loop2)
	JMP  store
	SIXTEEN(ROWS3, loop3)
	JMP  store
	SIXTEEN(ROWS4, loop4)
	JMP  store
	SIXTEEN(ROWS5, loop5)
	JMP  store
	SIXTEEN(ROWS6, loop6)
store:
	MOVQ R13, FETCHAT
	PLACES
	TO(Z0, Z1, Z2, Z3)
	TO(Z4, Z5, Z6, Z7)
	TO(Z8, Z9, Z10, Z11)
	TO(Z12, Z13, Z14, Z15)
	TO(Z16, Z17, Z18, Z19)
	TO(Z20, Z21, Z22, Z23)
stored:
	MOVQ  R15, ACCROW
	MOVQ  GROUPROWS, AX
	IMULQ k+48(FP), AX
	ADDQ  AX, XAT
	CMPQ  GROUPSLEFT, $0
	JGT   group

	MOVQ wStride+32(FP), AX
	SHLQ $2, AX
	ADDQ AX, WAT
	ADDQ $256, SUMSAT
	ADDQ $256, ACCAT
	SUBQ $4, BLOCKS
	JGT  blocks4
	VZEROUPPER
	RET

// func gemvS8VNNI(acc *int32, x *int8, w *int8, sums *int32, n int, k int)
//
// One row of x by all blocks, four at a time, then two, then one: the weights are sequential streams that share the exclusive
// or of x.
// Four sums of each block, one for each k/4 % 4, hide the latency.
#define X4 \
	VPXORD.BCST (SI), Z31, Z20;  \
	VPXORD.BCST 4(SI), Z31, Z21; \
	VPXORD.BCST 8(SI), Z31, Z22; \
	VPXORD.BCST 12(SI), Z31, Z23

// STREAM multiplies sixteen k of the block at p.
#define STREAM(p, a, b, c, d) \
	PREFETCHT0 1024(p);        \
	PREFETCHT0 1088(p);        \
	PREFETCHT0 1152(p);        \
	PREFETCHT0 1216(p);        \
	VPDPBUSD   (p), Z20, a;    \
	VPDPBUSD   64(p), Z21, b;  \
	VPDPBUSD   128(p), Z22, c; \
	VPDPBUSD   192(p), Z23, d; \
	ADDQ       $256, p

// BEGIN sets the sums of a block to -128 * its sums at p, SUMUP stores them.
#define BEGIN(p, a, b, c, d) \
	VMOVDQU32 p, a;        \
	VPSLLD    $7, a, a;    \
	VPSUBD    a, Z30, a;   \
	VPXORD    b, b, b;     \
	VPXORD    c, c, c;     \
	VPXORD    d, d, d

#define SUMUP(a, b, c, d, p) \
	VPADDD    b, a, a; \
	VPADDD    d, c, c; \
	VPADDD    c, a, a; \
	VMOVDQU32 a, p

TEXT ·gemvS8VNNI(SB), NOSPLIT, $0-48
	MOVQ acc+0(FP), R11
	MOVQ x+8(FP), R8
	MOVQ w+16(FP), DI
	MOVQ sums+24(FP), R10
	MOVQ n+32(FP), DX
	MOVQ k+40(FP), R9

	VPBROADCASTD signs<>(SB), Z31
	VPXORD       Z30, Z30, Z30
four:
	CMPQ DX, $64
	JLT  two
	MOVQ R9, BX
	SHLQ $4, BX
	LEAQ (DI)(BX*1), R12
	LEAQ (DI)(BX*2), R13
	LEAQ (R12)(BX*2), R15
	MOVQ R8, SI
	MOVQ R9, CX
	BEGIN((R10), Z0, Z1, Z2, Z3)
	BEGIN(64(R10), Z4, Z5, Z6, Z7)
	BEGIN(128(R10), Z8, Z9, Z10, Z11)
	BEGIN(192(R10), Z12, Z13, Z14, Z15)
loop4: // sixteen k
	X4
	STREAM(DI, Z0, Z1, Z2, Z3)
	STREAM(R12, Z4, Z5, Z6, Z7)
	STREAM(R13, Z8, Z9, Z10, Z11)
	STREAM(R15, Z12, Z13, Z14, Z15)
	ADDQ $16, SI
	SUBQ $16, CX
	JGT  loop4
	SUMUP(Z0, Z1, Z2, Z3, (R11))
	SUMUP(Z4, Z5, Z6, Z7, 64(R11))
	SUMUP(Z8, Z9, Z10, Z11, 128(R11))
	SUMUP(Z12, Z13, Z14, Z15, 192(R11))
	MOVQ R15, DI
	ADDQ $256, R11
	ADDQ $256, R10
	SUBQ $64, DX
	JMP  four
two:
	CMPQ DX, $32
	JLT  one
	MOVQ R9, R12
	SHLQ $4, R12
	ADDQ DI, R12 // the second block
	MOVQ R8, SI
	MOVQ R9, CX
	BEGIN((R10), Z0, Z1, Z2, Z3)
	BEGIN(64(R10), Z4, Z5, Z6, Z7)
loop2: // sixteen k
	X4
	STREAM(DI, Z0, Z1, Z2, Z3)
	STREAM(R12, Z4, Z5, Z6, Z7)
	ADDQ $16, SI
	SUBQ $16, CX
	JGT  loop2
	SUMUP(Z0, Z1, Z2, Z3, (R11))
	SUMUP(Z4, Z5, Z6, Z7, 64(R11))
	MOVQ R12, DI
	ADDQ $128, R11
	ADDQ $128, R10
	SUBQ $32, DX
	JMP  two
one:
	TESTQ DX, DX
	JEQ   end
	MOVQ  R8, SI
	MOVQ  R9, CX
	BEGIN((R10), Z0, Z1, Z2, Z3)
loop1:
	X4
	STREAM(DI, Z0, Z1, Z2, Z3)
	ADDQ $16, SI
	SUBQ $16, CX
	JGT  loop1
	SUMUP(Z0, Z1, Z2, Z3, (R11))
end:
	VZEROUPPER
	RET
