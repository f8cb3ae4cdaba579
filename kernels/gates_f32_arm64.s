#include "textflag.h"
#include "neon_arm64.h"
#include "quads_arm64.h"
#include "floats.h"
#include "functions_arm64.h"

// The gates of recurrent networks, sixteen units at a time, as gates.go has them. n is a multiple of 16, above 0. What is done
// waits in gates.

#define LOAD(off, p, a, b, c, d) \
	FLDPQ off(p), (a, b);      \
	FLDPQ (off+32)(p), (c, d)

#define LOAD8(off, p) LOAD(off, p, F8, F9, F10, F11)
#define LOAD24(off, p) LOAD(off, p, F24, F25, F26, F27)

#define STORE20(off, p) \
	FSTPQ (F20, F21), off(p);      \
	FSTPQ (F22, F23), (off+32)(p)

// func lstmNEON(h, c, gates *float32, n int)
TEXT ·lstmNEON(SB), NOSPLIT, $0-32
	MOVD h+0(FP), R0
	MOVD c+8(FP), R1
	MOVD gates+16(FP), R2
	MOVD n+24(FP), R3
	MOVD $floats<>(SB), R9
loop:
	LOAD8(0, R2)
	SIGMOID
	STORE20(0, R2)
	LOAD8(64, R2)
	SIGMOID
	LOAD24(0, R1)
	FMUL4(20, 20, 24)
	STORE20(64, R2)
	LOAD8(128, R2)
	TANH
	LOAD24(0, R2)
	FMUL4(20, 20, 24)
	LOAD24(64, R2)
	FADD4(8, 24, 20) // c = f*c + i*g
	FSTPQ (F8, F9), (R1)
	FSTPQ (F10, F11), 32(R1)
	TANH
	STORE20(0, R2)
	LOAD8(192, R2)
	SIGMOID
	LOAD24(0, R2)
	FMUL4(20, 20, 24)
	STORE20(0, R0)
	ADD   $256, R2
	ADD   $64, R1
	ADD   $64, R0
	SUBS  $16, R3
	BGT   loop
	RET

// func gruNEON(h, x, p *float32, n int)
TEXT ·gruNEON(SB), NOSPLIT, $0-32
	MOVD h+0(FP), R0
	MOVD x+8(FP), R1
	MOVD p+16(FP), R2
	MOVD n+24(FP), R3
	MOVD $floats<>(SB), R9
loop:
	LOAD8(64, R1)
	LOAD24(64, R2)
	FADD4(8, 8, 24)
	SIGMOID
	STORE20(64, R1)
	LOAD8(0, R1)
	LOAD24(0, R2)
	FADD4(8, 8, 24)
	SIGMOID
	LOAD24(128, R2)
	FMUL4(20, 20, 24)
	LOAD8(128, R1)
	FADD4(8, 8, 20)
	TANH
	LOAD8(64, R1) // z
	CONST(C_ONE, F28)
	LOAD24(0, R0)
	CFSUB4(0, 28, 8)
	FMUL4(8, 8, 24)
	FMUL4(20, 20, 0)
	FADD4(20, 20, 8) // h = (1-z)*n + z*h
	STORE20(0, R0)
	ADD   $192, R1
	ADD   $192, R2
	ADD   $64, R0
	SUBS  $16, R3
	BGT   loop
	RET
