#include "textflag.h"
#include "neon_arm64.h"
#include "quads_arm64.h"
#include "floats.h"
#include "functions_arm64.h"

// exp, tanh, sigmoid, erf and what is made of them, for NEON. n is a multiple of 16, above 0.

// ERF: V20-V23 = erf32(V8-V11). Uses V0-V7, V12-V19, V24-V27.
#define ERF \
	CONST(C_SIGN, F28);   \
	CONST(C_FOUR, F29);   \
	BIC4C(12, 8, 28);     \ // a = |x|
	FCMGT4C(24, 12, 29);  \
	MOV4(4, 12);          \
	CONST(C_L6, F30);     \
	BIT_16B(4, 29, 24);   \ // a > 4 ? 4 : a
	BIT_16B(5, 29, 25);   \
	BIT_16B(6, 29, 26);   \
	BIT_16B(7, 29, 27);   \
	MOV4C(0, 30);         \
	MULADD(C_L5, 0, 4);   \
	MULADD(C_L4, 0, 4);   \
	MULADD(C_L3, 0, 4);   \
	MULADD(C_L2, 0, 4);   \
	MULADD(C_L1, 0, 4);   \
	MULADD(C_L0, 0, 4);   \
	EOR4C(0, 0, 28);      \
	EXP;                  \
	CONST(C_ONE, F28);    \
	CFSUB4(20, 28, 20);   \
	WITHSIGN;             \
	CONST(C_S6, F28);     \
	FMUL4(0, 8, 8);       \ // z
	MOV4C(4, 28);         \
	MULADD(C_S5, 4, 0);   \
	MULADD(C_S4, 4, 0);   \
	MULADD(C_S3, 4, 0);   \
	MULADD(C_S2, 4, 0);   \
	MULADD(C_S1, 4, 0);   \
	MULADD(C_S0, 4, 0);   \
	FMUL4(4, 4, 8);       \
	CONST(C_SMAX, F28);   \
	FADD4(4, 4, 8);       \
	CFCMGT4(24, 28, 12);  \ // a < 0.92
	BIT4(20, 4, 24)

#define LOAD0 \
	FLDPQ (R1), (F0, F1);   \
	FLDPQ 32(R1), (F2, F3)

#define LOAD8 \
	FLDPQ (R1), (F8, F9);   \
	FLDPQ 32(R1), (F10, F11)

// NEXT stores V20-V23 and goes on to the next sixteen.
#define NEXT(loop) \
	FSTPQ (F20, F21), (R0);   \
	FSTPQ (F22, F23), 32(R0); \
	ADD   $64, R0;            \
	ADD   $64, R1;            \
	SUBS  $16, R2;            \
	BGT   loop

#define ARGS \
	MOVD dst+0(FP), R0; \
	MOVD x+8(FP), R1;   \
	MOVD n+16(FP), R2;  \
	MOVD $floats<>(SB), R9

// HALFX: V20-V23 = (0.5*x) * (1 + V20-V23).
#define HALFX \
	LOAD8;                \
	CONST(C_HALF, F28);   \
	CONST(C_ONE, F29);    \
	FMUL4C(8, 8, 28);     \
	FADD4C(20, 20, 29);   \
	FMUL4(20, 8, 20)

// func vecExp(dst, x *float32, n int)
TEXT ·vecExp(SB), NOSPLIT, $0-24
	ARGS
loop:
	LOAD0
	EXP
	NEXT(loop)
	RET

// func vecTanh(dst, x *float32, n int)
TEXT ·vecTanh(SB), NOSPLIT, $0-24
	ARGS
loop:
	LOAD8
	TANH
	NEXT(loop)
	RET

// func vecSigmoid(dst, x *float32, n int)
TEXT ·vecSigmoid(SB), NOSPLIT, $0-24
	ARGS
loop:
	LOAD8
	SIGMOID
	NEXT(loop)
	RET

// func vecGELU(dst, x *float32, n int)
TEXT ·vecGELU(SB), NOSPLIT, $0-24
	ARGS
loop:
	LOAD8
	CONST(C_RSQRT2, F28)
	FMUL4C(8, 8, 28)
	ERF
	HALFX
	NEXT(loop)
	RET

// func vecGELUTanh(dst, x *float32, n int)
TEXT ·vecGELUTanh(SB), NOSPLIT, $0-24
	ARGS
loop:
	LOAD8
	CONST(C_GT0, F28)
	CONST(C_GT1, F29)
	FMUL4(0, 8, 8)
	FMUL4(0, 0, 8)
	FMUL4C(0, 0, 28)
	FADD4(8, 8, 0)
	FMUL4C(8, 8, 29)
	TANH
	HALFX
	NEXT(loop)
	RET

// func vecMulSigmoid(dst, x *float32, n int, s float32)
TEXT ·vecMulSigmoid(SB), NOSPLIT, $0-28
	ARGS
	FMOVS s+24(FP), F12
	VDUP  V12.S[0], V12.S4
loop:
	LOAD8
	FMUL4C(8, 8, 12)
	SIGMOID
	LOAD8
	FMUL4(20, 8, 20)
	NEXT(loop)
	RET

// func vecExpSum(lanes *[16]float32, dst, x *float32, n int, m float32)
TEXT ·vecExpSum(SB), NOSPLIT, $0-36
	MOVD  lanes+0(FP), R3
	MOVD  dst+8(FP), R0
	MOVD  x+16(FP), R1
	MOVD  n+24(FP), R2
	FMOVS m+32(FP), F12
	VDUP  V12.S[0], V12.S4
	MOVD  $floats<>(SB), R9
	VEOR  V8.B16, V8.B16, V8.B16
	VEOR  V9.B16, V9.B16, V9.B16
	VEOR  V10.B16, V10.B16, V10.B16
	VEOR  V11.B16, V11.B16, V11.B16
loop:
	LOAD0
	FSUB4C(0, 0, 12)
	EXP
	FADD4(8, 8, 20)
	CBZ   R0, sumOnly
	FSTPQ (F20, F21), (R0)
	FSTPQ (F22, F23), 32(R0)
	ADD   $64, R0
sumOnly:
	ADD   $64, R1
	SUBS  $16, R2
	BGT   loop
	FSTPQ (F8, F9), (R3)
	FSTPQ (F10, F11), 32(R3)
	RET

// func vecNormalise(x *float32, n int, inv float32)
//
// x *= inv, and 0 where that is below 2^-126.
TEXT ·vecNormalise(SB), NOSPLIT, $0-20
	MOVD  x+0(FP), R1
	MOVD  n+8(FP), R2
	FMOVS inv+16(FP), F12
	VDUP  V12.S[0], V12.S4
	MOVD  $floats<>(SB), R9
	CONST(C_NORMAL, F28)
loop:
	LOAD0
	FMUL4C(0, 0, 12)
	CFCMGT4(24, 28, 0)
	BIC4(0, 0, 24)
	FSTPQ (F0, F1), (R1)
	FSTPQ (F2, F3), 32(R1)
	ADD   $64, R1
	SUBS  $16, R2
	BGT   loop
	RET
