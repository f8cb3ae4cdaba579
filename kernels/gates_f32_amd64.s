#include "textflag.h"
#include "floats.h"
#include "functions_amd64.h"
#include "functions_avx512_amd64.h"

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

// ---- AVX512: sixteen units are a register, and everything stays in registers.

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
