#include "textflag.h"
#include "floats.h"
#include "functions_amd64.h"

// exp, tanh, sigmoid, erf and what is made of them, for AVX2. n is a multiple of 16, above 0.

// ERF: Y10, Y11 = erf32(Y8, Y9). Uses Y0-Y7, Y12, Y13, Y15.
#define ERF \
	ABS;                             \
	CONST(C_FOUR, Y15);              \
	VMINPS Y12, Y15, Y2;             \ // 4 < a ? 4 : a
	VMINPS Y13, Y15, Y3;             \
	CONST(C_L6, Y0);                 \
	VMOVAPS Y0, Y1;                  \
	MULADD(C_L5, Y0, Y1, Y2, Y3);    \
	MULADD(C_L4, Y0, Y1, Y2, Y3);    \
	MULADD(C_L3, Y0, Y1, Y2, Y3);    \
	MULADD(C_L2, Y0, Y1, Y2, Y3);    \
	MULADD(C_L1, Y0, Y1, Y2, Y3);    \
	MULADD(C_L0, Y0, Y1, Y2, Y3);    \
	CONST(C_SIGN, Y15);              \
	VXORPS Y15, Y0, Y0;              \
	VXORPS Y15, Y1, Y1;              \
	EXP;                             \
	CONST(C_ONE, Y15);               \
	VSUBPS Y6, Y15, Y6;              \
	VSUBPS Y7, Y15, Y7;              \
	WITHSIGN;                        \
	VMULPS Y8, Y8, Y2;               \ // z
	VMULPS Y9, Y9, Y3;               \
	CONST(C_S6, Y4);                 \
	VMOVAPS Y4, Y5;                  \
	MULADD(C_S5, Y4, Y5, Y2, Y3);    \
	MULADD(C_S4, Y4, Y5, Y2, Y3);    \
	MULADD(C_S3, Y4, Y5, Y2, Y3);    \
	MULADD(C_S2, Y4, Y5, Y2, Y3);    \
	MULADD(C_S1, Y4, Y5, Y2, Y3);    \
	MULADD(C_S0, Y4, Y5, Y2, Y3);    \
	VMULPS Y8, Y4, Y4;               \
	VMULPS Y9, Y5, Y5;               \
	VADDPS Y8, Y4, Y4;               \
	VADDPS Y9, Y5, Y5;               \
	SMALL(C_SMAX)

#define LOAD(a, b)        \
	VMOVUPS (SI), a;      \
	VMOVUPS 32(SI), b

// NEXT stores sixteen elements and goes on to the next.
#define NEXT(a, b, loop)  \
	VMOVUPS a, (DI);      \
	VMOVUPS b, 32(DI);    \
	ADDQ $64, SI;         \
	ADDQ $64, DI;         \
	SUBQ $16, CX;         \
	JGT  loop

#define ARGS \
	MOVQ dst+0(FP), DI; \
	MOVQ x+8(FP), SI;   \
	MOVQ n+16(FP), CX

// func vecExp(dst, x *float32, n int)
TEXT ·vecExp(SB), NOSPLIT, $0-24
	ARGS
loop:
	LOAD(Y0, Y1)
	EXP
	NEXT(Y6, Y7, loop)
	VZEROUPPER
	RET

// func vecTanh(dst, x *float32, n int)
TEXT ·vecTanh(SB), NOSPLIT, $0-24
	ARGS
loop:
	LOAD(Y8, Y9)
	TANH
	NEXT(Y10, Y11, loop)
	VZEROUPPER
	RET

// func vecSigmoid(dst, x *float32, n int)
TEXT ·vecSigmoid(SB), NOSPLIT, $0-24
	ARGS
loop:
	LOAD(Y8, Y9)
	SIGMOID
	NEXT(Y6, Y7, loop)
	VZEROUPPER
	RET

// func vecGELU(dst, x *float32, n int)
TEXT ·vecGELU(SB), NOSPLIT, $0-24
	ARGS
loop:
	LOAD(Y8, Y9)
	CONST(C_RSQRT2, Y15)
	VMULPS Y15, Y8, Y8
	VMULPS Y15, Y9, Y9
	ERF
	// (0.5*x) * (1 + Y10)
	LOAD(Y8, Y9)
	CONST(C_HALF, Y15)
	VMULPS Y15, Y8, Y8
	VMULPS Y15, Y9, Y9
	CONST(C_ONE, Y15)
	VADDPS Y15, Y10, Y10
	VADDPS Y15, Y11, Y11
	VMULPS Y10, Y8, Y8
	VMULPS Y11, Y9, Y9
	NEXT(Y8, Y9, loop)
	VZEROUPPER
	RET

// func vecGELUTanh(dst, x *float32, n int)
TEXT ·vecGELUTanh(SB), NOSPLIT, $0-24
	ARGS
loop:
	LOAD(Y8, Y9)
	VMULPS Y8, Y8, Y2
	VMULPS Y9, Y9, Y3
	VMULPS Y8, Y2, Y2
	VMULPS Y9, Y3, Y3
	CONST(C_GT0, Y15)
	VMULPS Y15, Y2, Y2
	VMULPS Y15, Y3, Y3
	VADDPS Y2, Y8, Y8
	VADDPS Y3, Y9, Y9
	CONST(C_GT1, Y15)
	VMULPS Y15, Y8, Y8
	VMULPS Y15, Y9, Y9
	TANH
	LOAD(Y8, Y9)
	CONST(C_HALF, Y15)
	VMULPS Y15, Y8, Y8
	VMULPS Y15, Y9, Y9
	CONST(C_ONE, Y15)
	VADDPS Y15, Y10, Y10
	VADDPS Y15, Y11, Y11
	VMULPS Y10, Y8, Y8
	VMULPS Y11, Y9, Y9
	NEXT(Y8, Y9, loop)
	VZEROUPPER
	RET

// func vecMulSigmoid(dst, x *float32, n int, s float32)
TEXT ·vecMulSigmoid(SB), NOSPLIT, $0-28
	ARGS
	VBROADCASTSS s+24(FP), Y14
loop:
	LOAD(Y8, Y9)
	VMULPS Y14, Y8, Y8
	VMULPS Y14, Y9, Y9
	SIGMOID
	LOAD(Y8, Y9)
	VMULPS Y6, Y8, Y6
	VMULPS Y7, Y9, Y7
	NEXT(Y6, Y7, loop)
	VZEROUPPER
	RET

// func vecExpSum(lanes *[16]float32, dst, x *float32, n int, m float32)
TEXT ·vecExpSum(SB), NOSPLIT, $0-36
	MOVQ lanes+0(FP), DX
	MOVQ dst+8(FP), DI
	MOVQ x+16(FP), SI
	MOVQ n+24(FP), CX
	VBROADCASTSS m+32(FP), Y12
	VXORPS Y13, Y13, Y13
	VXORPS Y14, Y14, Y14
loop:
	LOAD(Y0, Y1)
	VSUBPS Y12, Y0, Y0
	VSUBPS Y12, Y1, Y1
	EXP
	VADDPS Y6, Y13, Y13
	VADDPS Y7, Y14, Y14
	TESTQ  DI, DI
	JEQ    sumOnly
	VMOVUPS Y6, (DI)
	VMOVUPS Y7, 32(DI)
	ADDQ   $64, DI
sumOnly:
	ADDQ   $64, SI
	SUBQ   $16, CX
	JGT    loop
	VMOVUPS Y13, (DX)
	VMOVUPS Y14, 32(DX)
	VZEROUPPER
	RET

// func vecNormalise(x *float32, n int, inv float32)
//
// x *= inv, and 0 where that is below 2^-126.
TEXT ·vecNormalise(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VBROADCASTSS inv+16(FP), Y14
	CONST(C_NORMAL, Y15)
loop:
	VMULPS (SI), Y14, Y0
	VMULPS 32(SI), Y14, Y1
	VCMPPS $1, Y15, Y0, Y2
	VCMPPS $1, Y15, Y1, Y3
	VANDNPS Y0, Y2, Y0
	VANDNPS Y1, Y3, Y1
	VMOVUPS Y0, (SI)
	VMOVUPS Y1, 32(SI)
	ADDQ   $64, SI
	SUBQ   $16, CX
	JGT    loop
	VZEROUPPER
	RET
