#include "textflag.h"

// Differences of int8 rows on amd64, and the bound that passes rows on. Rows are in N16K4: each 64 bytes are sixteen rows by
// four k. |x - w| is max - min as unsigned bytes: 0 to 254.

// SURVIVORARGS: DI the next free place of idx, SI the sums of the first query, R8 to R11 what describes the rows, R15
// their number, BX the row.
#define SURVIVORARGS \
	MOVQ idx+0(FP), DI;      \
	MOVQ acc+8(FP), SI;      \
	MOVQ scale+16(FP), R8;   \
	MOVQ residual+24(FP), R9;\
	MOVQ norm+32(FP), R10;   \
	MOVQ length+40(FP), R11; \
	MOVQ n+48(FP), R15;      \
	XORQ BX, BX

// ---- AVX2: Y14 holds bytes of 1, Y15 words of 1.

#define ONES \
	VPCMPEQB Y15, Y15, Y15; \
	VPABSB   Y15, Y14;      \
	VPSRLW   $15, Y15, Y15

// DIFFERENCE leaves |x - w| of eight rows by four k in a: x in Y12, w at off.
#define DIFFERENCE(off, a, t) \
	VMOVDQU off(DI), a;    \
	VPMINSB a, Y12, t;     \
	VPMAXSB a, Y12, a;     \
	VPSUBB  t, a, a

#define L1STEP(off) \
	VPBROADCASTD (off/16)(SI), Y12; \
	DIFFERENCE(off, Y4, Y6);        \
	DIFFERENCE(off+32, Y5, Y7);     \
	VPMADDUBSW   Y14, Y4, Y4;       \
	VPMADDUBSW   Y14, Y5, Y5;       \
	VPMADDWD     Y15, Y4, Y4;       \
	VPMADDWD     Y15, Y5, Y5;       \
	VPADDD       Y4, Y0, Y0;        \
	VPADDD       Y5, Y1, Y1

// func l1RowAVX2(acc *int32, x *int8, w *int8, n int, k int)
TEXT ·l1RowAVX2(SB), NOSPLIT, $0-40
	MOVQ acc+0(FP), R11
	MOVQ x+8(FP), R8
	MOVQ w+16(FP), DI
	MOVQ n+24(FP), DX
	MOVQ k+32(FP), R9
	ONES

block:
	SUBQ  $16, DX
	JLT   end
	MOVQ  R8, SI
	MOVQ  R9, CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
loop: // sixteen k
	L1STEP(0)
	L1STEP(64)
	L1STEP(128)
	L1STEP(192)
	ADDQ $16, SI
	ADDQ $256, DI
	SUBQ $16, CX
	JGT  loop
	VMOVDQU Y0, (R11)
	VMOVDQU Y1, 32(R11)
	ADDQ $64, R11
	JMP  block
end:
	VZEROUPPER
	RET

#define MAXSTEP(off) \
	VPBROADCASTD (off/16)(SI), Y12; \
	DIFFERENCE(off, Y4, Y6);        \
	DIFFERENCE(off+32, Y5, Y7);     \
	VPMAXUB      Y4, Y0, Y0;        \
	VPMAXUB      Y5, Y1, Y1

// LARGEST leaves the largest byte of each int32 of a in it; Y13 holds 255.
#define LARGEST(a, t) \
	VPSRLD  $8, a, t;  \
	VPMAXUB t, a, a;   \
	VPSRLD  $16, a, t; \
	VPMAXUB t, a, a;   \
	VPAND   Y13, a, a

// func maxRowAVX2(acc *int32, x *int8, w *int8, n int, k int)
TEXT ·maxRowAVX2(SB), NOSPLIT, $0-40
	MOVQ acc+0(FP), R11
	MOVQ x+8(FP), R8
	MOVQ w+16(FP), DI
	MOVQ n+24(FP), DX
	MOVQ k+32(FP), R9
	VPCMPEQD Y13, Y13, Y13
	VPSRLD   $24, Y13, Y13

block:
	SUBQ  $16, DX
	JLT   end
	MOVQ  R8, SI
	MOVQ  R9, CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
loop: // sixteen k
	MAXSTEP(0)
	MAXSTEP(64)
	MAXSTEP(128)
	MAXSTEP(192)
	ADDQ $16, SI
	ADDQ $256, DI
	SUBQ $16, CX
	JGT  loop
	LARGEST(Y0, Y4)
	LARGEST(Y1, Y5)
	VMOVDQU Y0, (R11)
	VMOVDQU Y1, 32(R11)
	ADDQ $64, R11
	JMP  block
end:
	VZEROUPPER
	RET

// EIGHT leaves in mask which of eight rows, the first at BX + off/4, survive for the query at DX with the sums at R12, in the
// order of Bound.Value.
#define EIGHT(off, mask) \
	VCVTDQ2PS    off(R12), Y0;             \
	VBROADCASTSS 0(DX), Y1;                \
	VMULPS       off(R8)(BX*4), Y1, Y1;    \
	VMULPS       Y0, Y1, Y0;               \
	VMOVUPS      off(R9)(BX*4), Y4;        \
	VBROADCASTSS 8(DX), Y2;                \
	VMULPS       Y2, Y4, Y3;               \
	VBROADCASTSS 4(DX), Y2;                \
	VADDPS       Y3, Y2, Y3;               \
	VMULPS       Y3, Y4, Y2;               \
	VADDPS       Y2, Y0, Y0;               \
	VMOVUPS      off(R10)(BX*4), Y4;       \
	VBROADCASTSS 16(DX), Y2;               \
	VMULPS       Y2, Y4, Y3;               \
	VBROADCASTSS 12(DX), Y2;               \
	VADDPS       Y3, Y2, Y3;               \
	VMULPS       Y3, Y4, Y2;               \
	VADDPS       Y2, Y0, Y0;               \
	VBROADCASTSS 20(DX), Y2;               \
	VMULPS       off(R11)(BX*4), Y2, Y2;   \
	VADDPS       Y2, Y0, Y0;               \
	VBROADCASTSS 24(DX), Y2;               \
	VCMPPS       $0x15, Y2, Y0, Y0;        \
	VMOVMSKPS    Y0, mask

// func survivorsF32AVX2(idx, acc *int32, scale, residual, norm, length *float32, n int, b *Bound, m int) int
//
// CX counts queries, R13 is the place of a query's block in acc.
TEXT ·survivorsF32AVX2(SB), NOSPLIT, $0-80
	SURVIVORARGS
block:
	MOVQ b+56(FP), DX
	MOVQ m+64(FP), CX
	MOVQ SI, R12
	MOVQ BX, R13
query:
	EIGHT(0, AX)
	EIGHT(32, R14)
	SHLL $8, R14
	ORL  R14, AX
	JNE  bits
next:
	ADDQ $28, DX
	LEAQ (R12)(R15*4), R12
	ADDQ R15, R13
	DECQ CX
	JNE  query
	ADDQ $64, SI
	ADDQ $16, BX
	CMPQ BX, R15
	JLT  block
	SUBQ idx+0(FP), DI
	SHRQ $2, DI
	MOVQ DI, ret+72(FP)
	VZEROUPPER
	RET
bits:
	BSFL AX, R14
	ADDL R13, R14
	MOVL R14, (DI)
	ADDQ $4, DI
	LEAL -1(AX), R14
	ANDL R14, AX
	JNE  bits
	JMP  next

// ---- AVX512-VNNI: VPDPBUSD with bytes of 1 adds the four differences of a row.

DATA ones8<>+0(SB)/4, $0x01010101
GLOBL ones8<>(SB), RODATA|NOPTR, $4

#define L1BLOCK(off, xoff, a) \
	VPBROADCASTD xoff(SI), Z12;  \
	VMOVDQU32    off(DI), Z4;    \
	VPMINSB      Z4, Z12, Z5;    \
	VPMAXSB      Z4, Z12, Z4;    \
	VPSUBB       Z5, Z4, Z4;     \
	VPDPBUSD     Z31, Z4, a

// func l1RowVNNI(acc *int32, x *int8, w *int8, n int, k int)
TEXT ·l1RowVNNI(SB), NOSPLIT, $0-40
	MOVQ acc+0(FP), R11
	MOVQ x+8(FP), R8
	MOVQ w+16(FP), DI
	MOVQ n+24(FP), DX
	MOVQ k+32(FP), R9
	VPBROADCASTD ones8<>(SB), Z31

block:
	SUBQ   $16, DX
	JLT    end
	MOVQ   R8, SI
	MOVQ   R9, CX
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
loop: // sixteen k
	PREFETCHT0 2048(DI)
	PREFETCHT0 2112(DI)
	PREFETCHT0 2176(DI)
	PREFETCHT0 2240(DI)
	L1BLOCK(0, 0, Z0)
	L1BLOCK(64, 4, Z1)
	L1BLOCK(128, 8, Z2)
	L1BLOCK(192, 12, Z3)
	ADDQ $16, SI
	ADDQ $256, DI
	SUBQ $16, CX
	JGT  loop
	VPADDD    Z1, Z0, Z0
	VPADDD    Z3, Z2, Z2
	VPADDD    Z2, Z0, Z0
	VMOVDQU32 Z0, (R11)
	ADDQ      $64, R11
	JMP       block
end:
	VZEROUPPER
	RET

// L1FOUR takes four k of one block for four rows of x.
#define L1FOUR(off, xoff) \
	VMOVDQU32    off(DI), Z16;      \
	VPBROADCASTD xoff(SI), Z12;     \
	VPBROADCASTD xoff(R8), Z13;     \
	VPBROADCASTD xoff(R9), Z14;     \
	VPBROADCASTD xoff(R10), Z15;    \
	VPMINSB      Z16, Z12, Z20;     \
	VPMAXSB      Z16, Z12, Z12;     \
	VPMINSB      Z16, Z13, Z21;     \
	VPMAXSB      Z16, Z13, Z13;     \
	VPMINSB      Z16, Z14, Z22;     \
	VPMAXSB      Z16, Z14, Z14;     \
	VPMINSB      Z16, Z15, Z23;     \
	VPMAXSB      Z16, Z15, Z15;     \
	VPSUBB       Z20, Z12, Z12;     \
	VPSUBB       Z21, Z13, Z13;     \
	VPSUBB       Z22, Z14, Z14;     \
	VPSUBB       Z23, Z15, Z15;     \
	VPDPBUSD     Z31, Z12, Z0;      \
	VPDPBUSD     Z31, Z13, Z1;      \
	VPDPBUSD     Z31, Z14, Z2;      \
	VPDPBUSD     Z31, Z15, Z3

// func l1TileVNNI(acc *int32, accStride int, x *int8, xStride int, w *int8, n int, k int, rows int)
//
// Fewer than four rows of x repeat the last: the same sums are stored twice.
TEXT ·l1TileVNNI(SB), NOSPLIT, $0-64
	MOVQ acc+0(FP), R11
	MOVQ w+32(FP), DI
	MOVQ n+40(FP), DX
	VPBROADCASTD ones8<>(SB), Z31

	MOVQ rows+56(FP), BX
	XORQ R12, R12 // where the sums of rows 1 to 3 lie
	XORQ R13, R13
	XORQ AX, AX
	CMPQ BX, $2
	JLT  block
	MOVQ accStride+8(FP), R12
	MOVQ R12, R13
	MOVQ R12, AX
	CMPQ BX, $3
	JLT  block
	ADDQ R12, R13
	MOVQ R13, AX
	CMPQ BX, $4
	JLT  block
	ADDQ R12, AX

block:
	SUBQ $16, DX
	JLT  end
	MOVQ x+16(FP), SI
	MOVQ xStride+24(FP), CX
	MOVQ SI, R8
	CMPQ BX, $2
	JLT  rows2
	ADDQ CX, R8
rows2:
	MOVQ R8, R9
	CMPQ BX, $3
	JLT  rows3
	ADDQ CX, R9
rows3:
	MOVQ R9, R10
	CMPQ BX, $4
	JLT  start
	ADDQ CX, R10
start:
	MOVQ   k+48(FP), CX
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
loop: // sixteen k
	L1FOUR(0, 0)
	L1FOUR(64, 4)
	L1FOUR(128, 8)
	L1FOUR(192, 12)
	ADDQ $16, SI
	ADDQ $16, R8
	ADDQ $16, R9
	ADDQ $16, R10
	ADDQ $256, DI
	SUBQ $16, CX
	JGT  loop
	VMOVDQU32 Z0, (R11)
	VMOVDQU32 Z1, (R11)(R12*1)
	VMOVDQU32 Z2, (R11)(R13*1)
	VMOVDQU32 Z3, (R11)(AX*1)
	ADDQ      $64, R11
	JMP       block
end:
	VZEROUPPER
	RET

#define MAXBLOCK(off, xoff, a) \
	VPBROADCASTD xoff(SI), Z12;  \
	VMOVDQU32    off(DI), Z4;    \
	VPMINSB      Z4, Z12, Z5;    \
	VPMAXSB      Z4, Z12, Z4;    \
	VPSUBB       Z5, Z4, Z4;     \
	VPMAXUB      Z4, a, a

// func maxRowVNNI(acc *int32, x *int8, w *int8, n int, k int)
TEXT ·maxRowVNNI(SB), NOSPLIT, $0-40
	MOVQ acc+0(FP), R11
	MOVQ x+8(FP), R8
	MOVQ w+16(FP), DI
	MOVQ n+24(FP), DX
	MOVQ k+32(FP), R9
	VPTERNLOGD $0xff, Z13, Z13, Z13
	VPSRLD     $24, Z13, Z13

block:
	SUBQ   $16, DX
	JLT    end
	MOVQ   R8, SI
	MOVQ   R9, CX
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
loop: // sixteen k
	PREFETCHT0 2048(DI)
	PREFETCHT0 2112(DI)
	PREFETCHT0 2176(DI)
	PREFETCHT0 2240(DI)
	MAXBLOCK(0, 0, Z0)
	MAXBLOCK(64, 4, Z1)
	MAXBLOCK(128, 8, Z0)
	MAXBLOCK(192, 12, Z1)
	ADDQ $16, SI
	ADDQ $256, DI
	SUBQ $16, CX
	JGT  loop
	VPMAXUB   Z1, Z0, Z0
	VPSRLD    $8, Z0, Z1
	VPMAXUB   Z1, Z0, Z0
	VPSRLD    $16, Z0, Z1
	VPMAXUB   Z1, Z0, Z0
	VPANDD    Z13, Z0, Z0
	VMOVDQU32 Z0, (R11)
	ADDQ      $64, R11
	JMP       block
end:
	VZEROUPPER
	RET

DATA lanes16<>+0(SB)/4, $0
DATA lanes16<>+4(SB)/4, $1
DATA lanes16<>+8(SB)/4, $2
DATA lanes16<>+12(SB)/4, $3
DATA lanes16<>+16(SB)/4, $4
DATA lanes16<>+20(SB)/4, $5
DATA lanes16<>+24(SB)/4, $6
DATA lanes16<>+28(SB)/4, $7
DATA lanes16<>+32(SB)/4, $8
DATA lanes16<>+36(SB)/4, $9
DATA lanes16<>+40(SB)/4, $10
DATA lanes16<>+44(SB)/4, $11
DATA lanes16<>+48(SB)/4, $12
DATA lanes16<>+52(SB)/4, $13
DATA lanes16<>+56(SB)/4, $14
DATA lanes16<>+60(SB)/4, $15
GLOBL lanes16<>(SB), RODATA|NOPTR, $64

// PASSING sets K1 where the sums at acc of the query at DX reach its bound, in the order of Bound.Value: Z16 scale, Z17 residual, Z18
// norm, Z19 length.
#define PASSING(acc) \
	VCVTDQ2PS   acc, Z0;              \
	VMULPS.BCST 0(DX), Z16, Z1;       \ // Acc
	VMULPS      Z0, Z1, Z0;           \
	VMULPS.BCST 8(DX), Z17, Z2;       \ // Res2
	VADDPS.BCST 4(DX), Z2, Z2;        \ // Res
	VMULPS      Z2, Z17, Z2;          \
	VADDPS      Z2, Z0, Z0;           \
	VMULPS.BCST 16(DX), Z18, Z3;      \ // Norm2
	VADDPS.BCST 12(DX), Z3, Z3;       \ // Norm
	VMULPS      Z3, Z18, Z3;          \
	VADDPS      Z3, Z0, Z0;           \
	VMULPS.BCST 20(DX), Z19, Z4;      \ // Len
	VADDPS      Z4, Z0, Z0;           \
	VCMPPS.BCST $0x15, 24(DX), Z0, K1 // not less than Min, or NaN

// KEEP stores the places at, those of K1, at DI.
#define KEEP(at) \
	VPCOMPRESSD at, K1, Z5;  \
	VMOVDQU32   Z5, (DI);    \
	KMOVW       K1, AX;      \
	POPCNTL     AX, AX;      \
	LEAQ        (DI)(AX*4), DI

#define SIXTEENROWS \
	VMOVUPS (R8)(BX*4), Z16;  \
	VMOVUPS (R9)(BX*4), Z17;  \
	VMOVUPS (R10)(BX*4), Z18; \
	VMOVUPS (R11)(BX*4), Z19

// func survivorsF32AVX512(idx, acc *int32, scale, residual, norm, length *float32, n int, b *Bound, m int) int
//
// Sixteen rows at a time; Z20 holds their places in acc. No branch tells whether there are survivors: it would seldom be foreseen, and
// wait for sums that are still on their way. A store of sixteen at the next free place stays inside idx: no more places have passed
// than have been looked at.
TEXT ·survivorsF32AVX512(SB), NOSPLIT, $0-80
	SURVIVORARGS
	VPBROADCASTD R15, Z22
	MOVL         $16, AX
	VPBROADCASTD AX, Z23
	VMOVDQU32    lanes16<>(SB), Z21
block:
	MOVQ      b+56(FP), DX
	MOVQ      m+64(FP), CX
	MOVQ      SI, R12
	SIXTEENROWS
	VMOVDQA32 Z21, Z20
query:
	PASSING((R12))
	KEEP(Z20)
	VPADDD Z22, Z20, Z20
	ADDQ   $28, DX
	LEAQ   (R12)(R15*4), R12
	DECQ   CX
	JNE    query
	VPADDD Z23, Z21, Z21
	ADDQ   $64, SI
	ADDQ   $16, BX
	CMPQ   BX, R15
	JLT    block
	SUBQ   idx+0(FP), DI
	SHRQ   $2, DI
	MOVQ   DI, ret+72(FP)
	VZEROUPPER
	RET

// func markedF32AVX512(place, sum *int32, value *float32, acc *int32, scale, residual, norm, length *float32, n int, b *Bound, m int, marks *uint64) int
//
// survivorsF32AVX512 for those queries alone that are marked in a block: the lowest bit is that of the last query. R14 holds what is left
// of a block's marks. It gives the sums and the values of what it finds as well.
TEXT ·markedF32AVX512(SB), NOSPLIT, $0-104
	MOVQ place+0(FP), DI
	MOVQ acc+24(FP), SI
	MOVQ scale+32(FP), R8
	MOVQ residual+40(FP), R9
	MOVQ norm+48(FP), R10
	MOVQ length+56(FP), R11
	MOVQ n+64(FP), R15
	MOVQ marks+88(FP), R13
	MOVQ sum+8(FP), R12
	SUBQ DI, R12              // from a place to its sum, in bytes
	XORQ BX, BX
	VMOVDQU32 lanes16<>(SB), Z21
block:
	MOVQ  $64, CX
	SUBQ  m+80(FP), CX
	MOVQ  (R13), R14
	ADDQ  $8, R13
	SHLQ  CX, R14            // the first query's at the top
	TESTQ R14, R14
	JEQ   next
	SIXTEENROWS
query:
	BSRQ  R14, CX
	BTRQ  CX, R14
	XORQ  $63, CX            // the query
	IMUL3Q $28, CX, DX
	ADDQ  b+72(FP), DX
	IMULQ R15, CX
	ADDQ  BX, CX             // the place of the first row
	VPBROADCASTD CX, Z20
	VPADDD Z21, Z20, Z20
	VMOVDQU32 (SI)(CX*4), Z6
	PASSING(Z6)
	VPCOMPRESSD Z6, K1, Z6
	VCOMPRESSPS Z0, K1, Z0
	VMOVDQU32 Z6, (DI)(R12*1)
	MOVQ  value+16(FP), CX
	SUBQ  place+0(FP), CX
	VMOVUPS Z0, (DI)(CX*1)
	KEEP(Z20)
	TESTQ R14, R14
	JNE   query
next:
	ADDQ  $16, BX
	CMPQ  BX, R15
	JLT   block
	SUBQ  place+0(FP), DI
	SHRQ  $2, DI
	MOVQ  DI, ret+96(FP)
	VZEROUPPER
	RET

// TOP keeps in t the largest of t and the magnitudes at p, as bits: what is no number is above all numbers.
#define TOP(p, t) \
	VPANDD  (p)(CX*4), Z31, Z4; \
	VPMAXUD Z4, t, t

// FOLD puts the largest of sixteen lanes at off(DI).
#define FOLD(z, y, x, off) \
	VEXTRACTI64X4 $1, z, Y4;     \
	VPMAXUD       Y4, y, y;      \
	VEXTRACTI128  $1, y, X4;     \
	VPMAXUD       X4, x, x;      \
	VPSHUFD       $0x4e, x, X4;  \
	VPMAXUD       X4, x, x;      \
	VPSHUFD       $0xb1, x, X4;  \
	VPMAXUD       X4, x, x;      \
	VMOVD         x, off(DI)

// func topsF32AVX512(top *[4]float32, scale, residual, norm, length *float32, n int)
TEXT ·topsF32AVX512(SB), NOSPLIT, $0-48
	MOVQ top+0(FP), DI
	MOVQ scale+8(FP), R8
	MOVQ residual+16(FP), R9
	MOVQ norm+24(FP), R10
	MOVQ length+32(FP), R11
	MOVQ n+40(FP), DX
	VPTERNLOGD $0xff, Z31, Z31, Z31
	VPSRLD     $1, Z31, Z31
	VPXORD     Z0, Z0, Z0
	VPXORD     Z1, Z1, Z1
	VPXORD     Z2, Z2, Z2
	VPXORD     Z3, Z3, Z3
	XORQ       CX, CX
loop:
	TOP(R8, Z0)
	TOP(R9, Z1)
	TOP(R10, Z2)
	TOP(R11, Z3)
	ADDQ $16, CX
	CMPQ CX, DX
	JLT  loop
	FOLD(Z0, Y0, X0, 0)
	FOLD(Z1, Y1, X1, 4)
	FOLD(Z2, Y2, X2, 8)
	FOLD(Z3, Y3, X3, 12)
	VZEROUPPER
	RET
