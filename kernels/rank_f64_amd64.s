#include "textflag.h"

// Exact distances of eight float32 rows from a float64 vector, column after column, a row a lane. AX counts columns.

#define RANKARGS \
	MOVQ out+0(FP), DI;   \
	MOVQ x+8(FP), SI;     \
	MOVQ n+16(FP), CX;    \
	MOVQ rows+24(FP), DX; \
	MOVQ 0(DX), R8;       \
	MOVQ 24(DX), R9;      \
	MOVQ 48(DX), R10;     \
	MOVQ 72(DX), R11;     \
	MOVQ 96(DX), R12;     \
	MOVQ 120(DX), R13;    \
	MOVQ 144(DX), R14;    \
	MOVQ 168(DX), R15;    \
	XORQ AX, AX

// FOURCOLUMNS turns four columns of eight rows into Y0 to Y3, a column each: rows 0 to 3 and 4 to 7 in its halves.
#define FOURCOLUMNS \
	VMOVUPS     (R8)(AX*4), X0;          \
	VMOVUPS     (R9)(AX*4), X1;          \
	VMOVUPS     (R10)(AX*4), X2;         \
	VMOVUPS     (R11)(AX*4), X3;         \
	VINSERTF128 $1, (R12)(AX*4), Y0, Y0; \
	VINSERTF128 $1, (R13)(AX*4), Y1, Y1; \
	VINSERTF128 $1, (R14)(AX*4), Y2, Y2; \
	VINSERTF128 $1, (R15)(AX*4), Y3, Y3; \
	VUNPCKLPS   Y1, Y0, Y4;              \
	VUNPCKHPS   Y1, Y0, Y5;              \
	VUNPCKLPS   Y3, Y2, Y6;              \
	VUNPCKHPS   Y3, Y2, Y7;              \
	VUNPCKLPD   Y6, Y4, Y0;              \
	VUNPCKHPD   Y6, Y4, Y1;              \
	VUNPCKLPD   Y7, Y5, Y2;              \
	VUNPCKHPD   Y7, Y5, Y3

// HALVES subtracts column off/8 of x from the eight float32 in x and y: rows 0 to 3 become a, 4 to 7 b.
#define HALVES(off, x, y, a, b) \
	VEXTRACTF128 $1, y, X13;             \
	VCVTPS2PD    x, a;                   \
	VCVTPS2PD    X13, b;                 \
	VBROADCASTSD off(SI)(AX*8), Y12;     \
	VSUBPD       Y12, a, a;              \
	VSUBPD       Y12, b, b

#define SQUARE2(a, b) \
	VMULPD a, a, a;     \
	VMULPD b, b, b;     \
	VADDPD a, Y14, Y14; \
	VADDPD b, Y15, Y15

// ABS2 clears the signs by Y11.
#define ABS2(a, b) \
	VANDPD Y11, a, a;   \
	VANDPD Y11, b, b;   \
	VADDPD a, Y14, Y14; \
	VADDPD b, Y15, Y15

// func squares8F64AVX2(out *[8]float64, x *float64, n int, rows *[8][]float32)
TEXT ·squares8F64AVX2(SB), NOSPLIT, $0-32
	RANKARGS
	VXORPD Y14, Y14, Y14
	VXORPD Y15, Y15, Y15
loop:
	FOURCOLUMNS
	HALVES(0, X0, Y0, Y4, Y5)
	SQUARE2(Y4, Y5)
	HALVES(8, X1, Y1, Y6, Y7)
	SQUARE2(Y6, Y7)
	HALVES(16, X2, Y2, Y4, Y5)
	SQUARE2(Y4, Y5)
	HALVES(24, X3, Y3, Y6, Y7)
	SQUARE2(Y6, Y7)
	ADDQ $4, AX
	CMPQ AX, CX
	JLT  loop
	VMOVUPD Y14, (DI)
	VMOVUPD Y15, 32(DI)
	VZEROUPPER
	RET

// func absolute8F64AVX2(out *[8]float64, x *float64, n int, rows *[8][]float32)
TEXT ·absolute8F64AVX2(SB), NOSPLIT, $0-32
	RANKARGS
	VXORPD   Y14, Y14, Y14
	VXORPD   Y15, Y15, Y15
	VPCMPEQD Y11, Y11, Y11
	VPSRLQ   $1, Y11, Y11
loop:
	FOURCOLUMNS
	HALVES(0, X0, Y0, Y4, Y5)
	ABS2(Y4, Y5)
	HALVES(8, X1, Y1, Y6, Y7)
	ABS2(Y6, Y7)
	HALVES(16, X2, Y2, Y4, Y5)
	ABS2(Y4, Y5)
	HALVES(24, X3, Y3, Y6, Y7)
	ABS2(Y6, Y7)
	ADDQ $4, AX
	CMPQ AX, CX
	JLT  loop
	VMOVUPD Y14, (DI)
	VMOVUPD Y15, 32(DI)
	VZEROUPPER
	RET

// WIDE makes float64 of four columns and subtracts those of x: Z16 to Z19.
#define WIDE \
	VCVTPS2PD   Y0, Z16;                   \
	VCVTPS2PD   Y1, Z17;                   \
	VCVTPS2PD   Y2, Z18;                   \
	VCVTPS2PD   Y3, Z19;                   \
	VSUBPD.BCST 0(SI)(AX*8), Z16, Z16;     \
	VSUBPD.BCST 8(SI)(AX*8), Z17, Z17;     \
	VSUBPD.BCST 16(SI)(AX*8), Z18, Z18;    \
	VSUBPD.BCST 24(SI)(AX*8), Z19, Z19

#define SUMWIDE \
	VADDPD Z16, Z20, Z20; \
	VADDPD Z17, Z20, Z20; \
	VADDPD Z18, Z20, Z20; \
	VADDPD Z19, Z20, Z20

// func squares8F64AVX512(out *[8]float64, x *float64, n int, rows *[8][]float32)
TEXT ·squares8F64AVX512(SB), NOSPLIT, $0-32
	RANKARGS
	VPXORQ Z20, Z20, Z20
loop:
	FOURCOLUMNS
	WIDE
	VMULPD Z16, Z16, Z16
	VMULPD Z17, Z17, Z17
	VMULPD Z18, Z18, Z18
	VMULPD Z19, Z19, Z19
	SUMWIDE
	ADDQ $4, AX
	CMPQ AX, CX
	JLT  loop
	VMOVUPD Z20, (DI)
	VZEROUPPER
	RET

// func absolute8F64AVX512(out *[8]float64, x *float64, n int, rows *[8][]float32)
TEXT ·absolute8F64AVX512(SB), NOSPLIT, $0-32
	RANKARGS
	VPXORQ     Z20, Z20, Z20
	VPTERNLOGQ $0xff, Z21, Z21, Z21
	VPSRLQ     $1, Z21, Z21
loop:
	FOURCOLUMNS
	WIDE
	VPANDQ Z21, Z16, Z16
	VPANDQ Z21, Z17, Z17
	VPANDQ Z21, Z18, Z18
	VPANDQ Z21, Z19, Z19
	SUMWIDE
	ADDQ $4, AX
	CMPQ AX, CX
	JLT  loop
	VMOVUPD Z20, (DI)
	VZEROUPPER
	RET
