#include "textflag.h"
#include "neon_arm64.h"
#include "quads_arm64.h"
#include "floats.h"

// What passes over rows of floats: epilogue, norms, sums, quantization, attention. NEON, sixteen elements in four registers,
// so that a sum's sixteen lanes are one quad. Products and sums are apart, never FMLA. n is a multiple of 16, above 0.

#define LOAD(p, a, b, c, d) \
	FLDPQ (p), (a, b);   \
	FLDPQ 32(p), (c, d)

#define STORE(p, a, b, c, d) \
	FSTPQ (a, b), (p);   \
	FSTPQ (c, d), 32(p)

#define SPLAT(arg, f, v) \
	FMOVS arg, f;        \
	VDUP  v.S[0], v.S4

#define ZERO4(a, b, c, d) \
	VEOR a.B16, a.B16, a.B16; \
	VEOR b.B16, b.B16, b.B16; \
	VEOR c.B16, c.B16, c.B16; \
	VEOR d.B16, d.B16, d.B16

// func vecEpilogue(dst *float32, acc *int32, wScale, bias, residual *float32, n int, xs float32, relu int)
//
// One row: dst = relu(acc*(xs*wScale) + bias) + residual; bias and residual may be nil.
TEXT ·vecEpilogue(SB), NOSPLIT, $0-64
	MOVD dst+0(FP), R0
	MOVD acc+8(FP), R1
	MOVD wScale+16(FP), R2
	MOVD bias+24(FP), R3
	MOVD residual+32(FP), R4
	MOVD n+40(FP), R5
	SPLAT(xs+48(FP), F28, V28)
	MOVD relu+56(FP), R6
loop:
	LOAD(R1, F0, F1, F2, F3)
	LOAD(R2, F4, F5, F6, F7)
	SCVTF4(0, 0)
	FMUL4C(4, 4, 28)
	ADD  $64, R1
	ADD  $64, R2
	FMUL4(0, 0, 4)
	CBZ  R3, noBias
	LOAD(R3, F4, F5, F6, F7)
	ADD  $64, R3
	FADD4(0, 0, 4)
noBias:
	CBZ  R6, noReLU
	FCMLT4(24, 0)
	BIC4(0, 0, 24)
noReLU:
	CBZ  R4, noResidual
	LOAD(R4, F4, F5, F6, F7)
	ADD  $64, R4
	FADD4(0, 0, 4)
noResidual:
	STORE(R0, F0, F1, F2, F3)
	ADD  $64, R0
	SUBS $16, R5
	BGT  loop
	RET

// func vecReLU(x *float32, n int)
TEXT ·vecReLU(SB), NOSPLIT, $0-16
	MOVD x+0(FP), R0
	MOVD n+8(FP), R2
loop:
	LOAD(R0, F0, F1, F2, F3)
	FCMLT4(24, 0)
	BIC4(0, 0, 24)
	STORE(R0, F0, F1, F2, F3)
	ADD  $64, R0
	SUBS $16, R2
	BGT  loop
	RET

// func vecAdd(dst, x *float32, n int)
TEXT ·vecAdd(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2
loop:
	LOAD(R0, F0, F1, F2, F3)
	LOAD(R1, F4, F5, F6, F7)
	FADD4(0, 0, 4)
	STORE(R0, F0, F1, F2, F3)
	ADD  $64, R0
	ADD  $64, R1
	SUBS $16, R2
	BGT  loop
	RET

// func vecScale(x *float32, n int, s float32)
TEXT ·vecScale(SB), NOSPLIT, $0-20
	MOVD x+0(FP), R0
	MOVD n+8(FP), R2
	SPLAT(s+16(FP), F28, V28)
loop:
	LOAD(R0, F0, F1, F2, F3)
	FMUL4C(0, 0, 28)
	STORE(R0, F0, F1, F2, F3)
	ADD  $64, R0
	SUBS $16, R2
	BGT  loop
	RET

// func vecSum(lanes *[16]float32, x *float32, n int)
TEXT ·vecSum(SB), NOSPLIT, $0-24
	MOVD lanes+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2
	ZERO4(V0, V1, V2, V3)
loop:
	LOAD(R1, F4, F5, F6, F7)
	FADD4(0, 0, 4)
	ADD  $64, R1
	SUBS $16, R2
	BGT  loop
	STORE(R0, F0, F1, F2, F3)
	RET

// func vecDot(lanes *[16]float32, x, y *float32, n int)
TEXT ·vecDot(SB), NOSPLIT, $0-32
	MOVD lanes+0(FP), R0
	MOVD x+8(FP), R1
	MOVD y+16(FP), R3
	MOVD n+24(FP), R2
	ZERO4(V0, V1, V2, V3)
loop:
	LOAD(R1, F4, F5, F6, F7)
	LOAD(R3, F16, F17, F18, F19)
	FMUL4(4, 4, 16)
	ADD  $64, R1
	ADD  $64, R3
	FADD4(0, 0, 4)
	SUBS $16, R2
	BGT  loop
	STORE(R0, F0, F1, F2, F3)
	RET

// func vecSquares(lanes *[16]float32, x *float32, n int, mean float32)
//
// Sums of (x-mean)².
TEXT ·vecSquares(SB), NOSPLIT, $0-28
	MOVD lanes+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2
	SPLAT(mean+24(FP), F28, V28)
	ZERO4(V0, V1, V2, V3)
loop:
	LOAD(R1, F4, F5, F6, F7)
	FSUB4C(4, 4, 28)
	ADD  $64, R1
	FMUL4(4, 4, 4)
	FADD4(0, 0, 4)
	SUBS $16, R2
	BGT  loop
	STORE(R0, F0, F1, F2, F3)
	RET

// func vecNorm(dst, x, gamma, beta *float32, n int, mean, inv float32)
//
// dst = ((x-mean)*inv)*gamma + beta; beta may be nil.
TEXT ·vecNorm(SB), NOSPLIT, $0-48
	MOVD dst+0(FP), R0
	MOVD x+8(FP), R1
	MOVD gamma+16(FP), R3
	MOVD beta+24(FP), R4
	MOVD n+32(FP), R2
	SPLAT(mean+40(FP), F28, V28)
	SPLAT(inv+44(FP), F29, V29)
loop:
	LOAD(R1, F0, F1, F2, F3)
	LOAD(R3, F4, F5, F6, F7)
	FSUB4C(0, 0, 28)
	FMUL4C(0, 0, 29)
	ADD  $64, R1
	ADD  $64, R3
	FMUL4(0, 0, 4)
	CBZ  R4, noBeta
	LOAD(R4, F4, F5, F6, F7)
	ADD  $64, R4
	FADD4(0, 0, 4)
noBeta:
	STORE(R0, F0, F1, F2, F3)
	ADD  $64, R0
	SUBS $16, R2
	BGT  loop
	RET

// func vecAbsMax(x *float32, n int) uint32
//
// The largest of the bits without their sign.
TEXT ·vecAbsMax(SB), NOSPLIT, $0-20
	MOVD x+0(FP), R1
	MOVD n+8(FP), R2
	MOVD $floats<>(SB), R9
	CONST(C_SIGN, F28)
	ZERO4(V0, V1, V2, V3)
loop:
	LOAD(R1, F4, F5, F6, F7)
	BIC4C(4, 4, 28)
	ADD  $64, R1
	UMAX4(0, 0, 4)
	SUBS $16, R2
	BGT  loop
	UMAX_4S(0, 0, 1)
	UMAX_4S(2, 2, 3)
	UMAX_4S(0, 0, 2)
	VEXT $8, V0.B16, V0.B16, V1.B16
	UMAX_4S(0, 0, 1)
	VEXT $4, V0.B16, V0.B16, V1.B16
	UMAX_4S(0, 0, 1)
	VMOV V0.S[0], R3
	MOVW R3, ret+16(FP)
	RET

// func vecQuantize(q *int8, x *float32, n int, inv float32)
//
// q = clamp(roundToEven(x*inv), -127, 127).
TEXT ·vecQuantize(SB), NOSPLIT, $0-28
	MOVD q+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2
	SPLAT(inv+24(FP), F28, V28)
	MOVD $floats<>(SB), R9
	CONST(C_MAGIC, F29)
	CONST(C_MAX127, F30)
	CONST(C_MIN127, F31)
loop:
	LOAD(R1, F0, F1, F2, F3)
	FMUL4C(0, 0, 28)
	FADD4C(0, 0, 29)
	SUB4C(0, 0, 29)
	SMIN4C(0, 0, 30)
	SMAX4C(0, 0, 31)
	VUZP1 V1.H8, V0.H8, V0.H8   // the low halves, then the low bytes
	VUZP1 V3.H8, V2.H8, V2.H8
	ADD   $64, R1
	VUZP1 V2.B16, V0.B16, V0.B16
	FMOVQ F0, (R0)
	ADD   $16, R0
	SUBS  $16, R2
	BGT   loop
	RET

// MAXSTEP: d = x > d ? x : d.
#define MAXSTEP(d, x) \
	FCMGT_4S(24, x, d); \
	BIT_16B(d, x, 24)

// func vecMax(x *float32, n int) float32
//
// The largest element, NaN left out: each step is x > max ? x : max.
TEXT ·vecMax(SB), NOSPLIT, $0-20
	MOVD x+0(FP), R1
	MOVD n+8(FP), R2
	MOVD $floats<>(SB), R9
	CONST(C_INF, F28)
	CONST(C_SIGN, F29)
	EOR_16B(28, 28, 29)
	MOV4C(0, 28)
loop:
	LOAD(R1, F4, F5, F6, F7)
	FCMGT4(24, 4, 0)
	ADD  $64, R1
	BIT4(0, 4, 24)
	SUBS $16, R2
	BGT  loop
	MAXSTEP(0, 1)
	MAXSTEP(2, 3)
	MAXSTEP(0, 2)
	VEXT $8, V0.B16, V0.B16, V1.B16
	MAXSTEP(0, 1)
	VEXT $4, V0.B16, V0.B16, V1.B16
	MAXSTEP(0, 1)
	FMOVS F0, ret+16(FP)
	RET

// func vecFind(x *float32, n int, m float32) int
//
// Where the first sixteen elements begin of which one is at least m; n if there are none.
TEXT ·vecFind(SB), NOSPLIT, $0-32
	MOVD x+0(FP), R1
	MOVD n+8(FP), R2
	SPLAT(m+16(FP), F28, V28)
	MOVD ZR, R3
loop:
	LOAD(R1, F4, F5, F6, F7)
	FCMGE4C(4, 4, 28)
	ADD  $64, R1
	ORR_16B(4, 4, 5)
	ORR_16B(6, 6, 7)
	ORR_16B(4, 4, 6)
	VMOV V4.D[0], R4
	VMOV V4.D[1], R5
	ORR  R5, R4
	CBNZ R4, found
	ADD  $16, R3
	CMP  R2, R3
	BLT  loop
found:
	MOVD R3, ret+24(FP)
	RET

// func vecScores(dst, q, kb *float32, dim int, scale float32)
//
// Sixteen positions: dst = (Σ q[d]*kb[d]) * scale, d in order.
TEXT ·vecScores(SB), NOSPLIT, $0-36
	MOVD dst+0(FP), R0
	MOVD q+8(FP), R1
	MOVD kb+16(FP), R3
	MOVD dim+24(FP), R2
	ZERO4(V0, V1, V2, V3)
loop:
	VLD1R.P 4(R1), [V28.S4]
	LOAD(R3, F4, F5, F6, F7)
	ADD  $64, R3
	FMUL4C(4, 4, 28)
	FADD4(0, 0, 4)
	SUBS $1, R2
	BGT  loop
	SPLAT(scale+32(FP), F28, V28)
	FMUL4C(0, 0, 28)
	STORE(R0, F0, F1, F2, F3)
	RET

// func vecWeighted(dst, p, v *float32, n, stride, rows int)
//
// dst[j] += p[i]*v[i*stride+j], i in order; stride in bytes. 64 columns at a time, then 16, their sums in registers.
TEXT ·vecWeighted(SB), NOSPLIT, $0-48
	MOVD dst+0(FP), R0
	MOVD p+8(FP), R1
	MOVD v+16(FP), R3
	MOVD n+24(FP), R4
	MOVD stride+32(FP), R5
	MOVD rows+40(FP), R6
	SUBS $64, R4
	BLT  few
many:
	MOVD R1, R7  // p
	MOVD R3, R8  // v
	MOVD R6, R2
	FLDPQ (R0), (F0, F1)
	FLDPQ 32(R0), (F2, F3)
	FLDPQ 64(R0), (F4, F5)
	FLDPQ 96(R0), (F6, F7)
	FLDPQ 128(R0), (F8, F9)
	FLDPQ 160(R0), (F10, F11)
	FLDPQ 192(R0), (F12, F13)
	FLDPQ 224(R0), (F14, F15)
loop:
	VLD1R.P 4(R7), [V28.S4]
	FLDPQ (R8), (F16, F17)
	FLDPQ 32(R8), (F18, F19)
	FLDPQ 64(R8), (F20, F21)
	FLDPQ 96(R8), (F22, F23)
	FMUL4C(16, 16, 28)
	FMUL4C(20, 20, 28)
	FADD4(0, 0, 16)
	FADD4(4, 4, 20)
	FLDPQ 128(R8), (F16, F17)
	FLDPQ 160(R8), (F18, F19)
	FLDPQ 192(R8), (F20, F21)
	FLDPQ 224(R8), (F22, F23)
	ADD  R5, R8
	FMUL4C(16, 16, 28)
	FMUL4C(20, 20, 28)
	FADD4(8, 8, 16)
	FADD4(12, 12, 20)
	SUBS $1, R2
	BGT  loop
	FSTPQ (F0, F1), (R0)
	FSTPQ (F2, F3), 32(R0)
	FSTPQ (F4, F5), 64(R0)
	FSTPQ (F6, F7), 96(R0)
	FSTPQ (F8, F9), 128(R0)
	FSTPQ (F10, F11), 160(R0)
	FSTPQ (F12, F13), 192(R0)
	FSTPQ (F14, F15), 224(R0)
	ADD  $256, R0
	ADD  $256, R3
	SUBS $64, R4
	BGE  many
few:
	ADDS $64, R4
	BEQ  done
sixteen:
	MOVD R1, R7
	MOVD R3, R8
	MOVD R6, R2
	LOAD(R0, F0, F1, F2, F3)
loop16:
	VLD1R.P 4(R7), [V28.S4]
	LOAD(R8, F16, F17, F18, F19)
	ADD  R5, R8
	FMUL4C(16, 16, 28)
	FADD4(0, 0, 16)
	SUBS $1, R2
	BGT  loop16
	STORE(R0, F0, F1, F2, F3)
	ADD  $64, R0
	ADD  $64, R3
	SUBS $16, R4
	BGT  sixteen
done:
	RET
