#include "textflag.h"
#include "floats.h"
#include "functions_amd64.h"

// The gates of recurrent networks, sixteen units at a time, as gates.go has them. n is a multiple of 16, above 0.

// ---- AVX2. What is done waits in gates.

#define LOAD(off, p) \
	VMOVUPS off(p), Y8;      \
	VMOVUPS (off+32)(p), Y9

#define STORE(a, b, off, p) \
	VMOVUPS a, off(p);      \
	VMOVUPS b, (off+32)(p)

// TIMES and PLUS multiply and add what lies in memory.
#define TIMES(off, p, a, b) \
	VMULPS off(p), a, a;      \
	VMULPS (off+32)(p), b, b

#define PLUS(off, p, a, b) \
	VADDPS off(p), a, a;      \
	VADDPS (off+32)(p), b, b

// func lstmAVX2(h, c, gates *float32, n int)
TEXT ·lstmAVX2(SB), NOSPLIT, $0-32
	MOVQ h+0(FP), DI
	MOVQ c+8(FP), DX
	MOVQ gates+16(FP), SI
	MOVQ n+24(FP), CX
loop:
	LOAD(0, SI)
	SIGMOID
	STORE(Y6, Y7, 0, SI)
	LOAD(64, SI)
	SIGMOID
	TIMES(0, DX, Y6, Y7)
	STORE(Y6, Y7, 64, SI)
	LOAD(128, SI)
	TANH
	TIMES(0, SI, Y10, Y11)
	PLUS(64, SI, Y10, Y11)
	STORE(Y10, Y11, 0, DX)
	VMOVAPS Y10, Y8
	VMOVAPS Y11, Y9
	TANH
	STORE(Y10, Y11, 0, SI)
	LOAD(192, SI)
	SIGMOID
	TIMES(0, SI, Y6, Y7)
	STORE(Y6, Y7, 0, DI)
	ADDQ $256, SI
	ADDQ $64, DX
	ADDQ $64, DI
	SUBQ $16, CX
	JGT  loop
	VZEROUPPER
	RET

// func gruAVX2(h, x, p *float32, n int)
TEXT ·gruAVX2(SB), NOSPLIT, $0-32
	MOVQ h+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ p+16(FP), DX
	MOVQ n+24(FP), CX
loop:
	LOAD(64, SI)
	PLUS(64, DX, Y8, Y9)
	SIGMOID
	STORE(Y6, Y7, 64, SI)
	LOAD(0, SI)
	PLUS(0, DX, Y8, Y9)
	SIGMOID
	TIMES(128, DX, Y6, Y7)
	VMOVAPS Y6, Y8
	VMOVAPS Y7, Y9
	PLUS(128, SI, Y8, Y9)
	TANH
	LOAD(64, SI) // z
	CONST(C_ONE, Y15)
	VSUBPS Y8, Y15, Y0
	VSUBPS Y9, Y15, Y1
	VMULPS Y0, Y10, Y10
	VMULPS Y1, Y11, Y11
	TIMES(0, DI, Y8, Y9)
	VADDPS Y8, Y10, Y10
	VADDPS Y9, Y11, Y11
	STORE(Y10, Y11, 0, DI)
	ADDQ $192, SI
	ADDQ $192, DX
	ADDQ $64, DI
	SUBQ $16, CX
	JGT  loop
	VZEROUPPER
	RET

// ---- AVX512: sixteen units are a register, and everything stays in registers. Z30 is 1, Z31 the sign bit.

// WITH is an instruction that takes the constant c.
#define WITH(OP, c, src, dst) OP.BCST floats<>+c(SB), src, dst

// EXPZ: e = exp32(x). Uses Z20-Z22, K1, K2.
#define EXPZ(x, e) \
	WITH(VMULPS, C_LOG2E, x, Z20);            \
	WITH(VADDPS, C_MAGIC, Z20, Z20);          \ // t = x*log2e + magic
	WITH(VSUBPS, C_MAGIC, Z20, Z21);          \ // n = t - magic
	WITH(VMULPS, C_LN2HI, Z21, Z22);          \
	VSUBPS Z22, x, Z22;                       \ // r = x - n*ln2Hi
	WITH(VMULPS, C_LN2LO, Z21, Z21);          \
	VSUBPS Z21, Z22, Z22;                     \ // r -= n*ln2Lo
	WITH(VMULPS, C_E4, Z22, e);               \
	WITH(VADDPS, C_E3, e, e);                 \
	VMULPS Z22, e, e;                         \
	WITH(VADDPS, C_E2, e, e);                 \
	VMULPS Z22, e, e;                         \
	WITH(VADDPS, C_E1, e, e);                 \
	VMULPS Z22, e, e;                         \
	WITH(VADDPS, C_E0, e, e);                 \
	VMULPS Z22, e, e;                         \
	VMULPS Z22, e, e;                         \
	VADDPS Z22, e, e;                         \ // (p*r)*r + r
	VADDPS Z30, e, e;                         \
	VPSLLD $23, Z20, Z20;                     \ // n, moved into the exponent
	VCMPPS.BCST $5, floats<>+C_EXPMIN(SB), x, K1; \ // x < expMin: 0
	VPADDD.Z Z20, e, K1, e;                   \
	VCMPPS.BCST $6, floats<>+C_EXPMAX(SB), x, K2; \ // not x <= expMax: x + Inf, which is Inf or NaN
	VADDPS.BCST floats<>+C_INF(SB), x, K2, e

// SIGMOIDZ: y = sigmoid32(x). Uses Z20-Z24, K1, K2.
#define SIGMOIDZ(x, y) \
	VPORD     x, Z31, Z23;      \
	EXPZ(Z23, y);               \ // e = e^-|x|
	VPXORD    Z24, Z24, Z24;    \
	VCMPPS    $1, Z24, x, K1;   \ // x < 0
	VMOVAPS   Z30, Z24;         \
	VMOVAPS   y, K1, Z24;       \ // x < 0 ? e : 1
	VADDPS    Z30, y, y;        \
	VDIVPS    y, Z24, y

// TANHZ: y = tanh32(x). Uses Z20-Z25, K1, K2.
#define TANHZ(x, y) \
	VPANDND   x, Z31, Z23;            \ // a = |x|
	VADDPS    Z23, Z23, Z24;          \
	EXPZ(Z24, y);                     \
	VADDPS    Z30, y, y;              \
	VADDPS    Z30, Z30, Z24;          \
	VDIVPS    y, Z24, y;              \
	VSUBPS    y, Z30, y;              \ // 1 - 2/(e+1)
	VPANDD    x, Z31, Z24;            \
	VPORD     Z24, y, y;              \
	VMULPS    x, x, Z24;              \ // z
	WITH(VMULPS, C_T4, Z24, Z25);     \
	WITH(VADDPS, C_T3, Z25, Z25);     \
	VMULPS    Z24, Z25, Z25;          \
	WITH(VADDPS, C_T2, Z25, Z25);     \
	VMULPS    Z24, Z25, Z25;          \
	WITH(VADDPS, C_T1, Z25, Z25);     \
	VMULPS    Z24, Z25, Z25;          \
	WITH(VADDPS, C_T0, Z25, Z25);     \
	VMULPS    Z24, Z25, Z25;          \
	VMULPS    x, Z25, Z25;            \
	VCMPPS.BCST $1, floats<>+C_TMAX(SB), Z23, K1; \ // a < 0.625
	VADDPS    x, Z25, K1, y

#define CONSTANTS \
	VBROADCASTSS floats<>+C_ONE(SB), Z30; \
	VBROADCASTSS floats<>+C_SIGN(SB), Z31

// func lstmAVX512(h, c, gates *float32, n int)
TEXT ·lstmAVX512(SB), NOSPLIT, $0-32
	MOVQ h+0(FP), DI
	MOVQ c+8(FP), DX
	MOVQ gates+16(FP), SI
	MOVQ n+24(FP), CX
	CONSTANTS
loop:
	VMOVUPS (SI), Z0
	VMOVUPS 64(SI), Z1
	VMOVUPS 128(SI), Z2
	VMOVUPS 192(SI), Z3
	SIGMOIDZ(Z0, Z4)
	SIGMOIDZ(Z1, Z5)
	SIGMOIDZ(Z3, Z7)
	TANHZ(Z2, Z6)
	VMULPS  (DX), Z5, Z5
	VMULPS  Z6, Z4, Z4
	VADDPS  Z4, Z5, Z0 // c = f*c + i*g
	VMOVUPS Z0, (DX)
	TANHZ(Z0, Z6)
	VMULPS  Z6, Z7, Z7
	VMOVUPS Z7, (DI)
	ADDQ $256, SI
	ADDQ $64, DX
	ADDQ $64, DI
	SUBQ $16, CX
	JGT  loop
	VZEROUPPER
	RET

// func gruAVX512(h, x, p *float32, n int)
TEXT ·gruAVX512(SB), NOSPLIT, $0-32
	MOVQ h+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ p+16(FP), DX
	MOVQ n+24(FP), CX
	CONSTANTS
loop:
	VMOVUPS (SI), Z0
	VMOVUPS 64(SI), Z1
	VADDPS  (DX), Z0, Z0
	VADDPS  64(DX), Z1, Z1
	SIGMOIDZ(Z0, Z4) // r
	SIGMOIDZ(Z1, Z5) // z
	VMULPS  128(DX), Z4, Z4
	VADDPS  128(SI), Z4, Z2
	TANHZ(Z2, Z6)
	VSUBPS  Z5, Z30, Z0
	VMULPS  Z0, Z6, Z6
	VMULPS  (DI), Z5, Z5
	VADDPS  Z5, Z6, Z6 // h = (1-z)*n + z*h
	VMOVUPS Z6, (DI)
	ADDQ $192, SI
	ADDQ $192, DX
	ADDQ $64, DI
	SUBQ $16, CX
	JGT  loop
	VZEROUPPER
	RET
