#include "textflag.h"
#include "floats.h"

// What passes over rows of floats: epilogue, norms, sums, quantization, attention. AVX2, sixteen elements in two registers,
// so that a sum's sixteen lanes are one pair. Products and sums are apart, never VFMADD. n is a multiple of 16, above 0.

// func vecEpilogue(dst *float32, acc *int32, wScale, bias, residual *float32, n int, xs float32, relu int)
//
// One row: dst = relu(acc*(xs*wScale) + bias) + residual; bias and residual may be nil.
TEXT ·vecEpilogue(SB), NOSPLIT, $0-64
	MOVQ         dst+0(FP), DI
	MOVQ         acc+8(FP), SI
	MOVQ         wScale+16(FP), DX
	MOVQ         bias+24(FP), R8
	MOVQ         residual+32(FP), R9
	MOVQ         n+40(FP), CX
	VBROADCASTSS xs+48(FP), Y15
	MOVQ         relu+56(FP), R10
	VXORPS       Y14, Y14, Y14
	XORQ         BX, BX
loop:
	VCVTDQ2PS (SI)(BX*1), Y0
	VCVTDQ2PS 32(SI)(BX*1), Y1
	VMULPS    (DX)(BX*1), Y15, Y2
	VMULPS    32(DX)(BX*1), Y15, Y3
	VMULPS    Y2, Y0, Y0
	VMULPS    Y3, Y1, Y1
	TESTQ     R8, R8
	JEQ       noBias
	VADDPS    (R8)(BX*1), Y0, Y0
	VADDPS    32(R8)(BX*1), Y1, Y1
noBias:
	TESTQ     R10, R10
	JEQ       noReLU
	VMAXPS    Y0, Y14, Y0 // 0 > x ? 0 : x
	VMAXPS    Y1, Y14, Y1
noReLU:
	TESTQ     R9, R9
	JEQ       noResidual
	VADDPS    (R9)(BX*1), Y0, Y0
	VADDPS    32(R9)(BX*1), Y1, Y1
noResidual:
	VMOVUPS   Y0, (DI)(BX*1)
	VMOVUPS   Y1, 32(DI)(BX*1)
	ADDQ      $64, BX
	SUBQ      $16, CX
	JGT       loop
	VZEROUPPER
	RET

// func tileEpilogueAVX512(dst *float32, ld int, acc *int32, xScale, wScale, bias, residual *float32, m, n int, relu int)
//
// m rows of n columns at once: dst = relu(acc*(xScale[i]*wScale) + bias) + residual; bias and residual may be nil.
// Columns go by in fours of sixteen, then one by one.
#define SCALED(off, z, t) \
	VCVTDQ2PS off(SI)(BX*1), z;      \
	VMULPS    off(DX)(BX*1), Z31, t; \
	VMULPS    t, z, z

#define PLUS4(p) \
	VADDPS (p)(BX*1), Z0, Z0;    \
	VADDPS 64(p)(BX*1), Z1, Z1;  \
	VADDPS 128(p)(BX*1), Z2, Z2; \
	VADDPS 192(p)(BX*1), Z3, Z3

TEXT ·tileEpilogueAVX512(SB), NOSPLIT, $0-80
	MOVQ   dst+0(FP), DI
	MOVQ   ld+8(FP), R11
	SHLQ   $2, R11
	MOVQ   acc+16(FP), SI
	MOVQ   xScale+24(FP), R12
	MOVQ   wScale+32(FP), DX
	MOVQ   bias+40(FP), R8
	MOVQ   residual+48(FP), R9
	MOVQ   m+56(FP), R13
	MOVQ   relu+72(FP), R10
	VPXORD Z30, Z30, Z30
row:
	VBROADCASTSS (R12), Z31
	MOVQ         n+64(FP), CX
	XORQ         BX, BX
	SUBQ         $64, CX
	JLT          few
four:
	SCALED(0, Z0, Z4)
	SCALED(64, Z1, Z5)
	SCALED(128, Z2, Z6)
	SCALED(192, Z3, Z7)
	TESTQ R8, R8
	JEQ   noBias
	PLUS4(R8)
noBias:
	TESTQ  R10, R10
	JEQ    noReLU
	VMAXPS Z0, Z30, Z0 // 0 > x ? 0 : x
	VMAXPS Z1, Z30, Z1
	VMAXPS Z2, Z30, Z2
	VMAXPS Z3, Z30, Z3
noReLU:
	TESTQ R9, R9
	JEQ   noResidual
	PLUS4(R9)
noResidual:
	VMOVUPS Z0, (DI)(BX*1)
	VMOVUPS Z1, 64(DI)(BX*1)
	VMOVUPS Z2, 128(DI)(BX*1)
	VMOVUPS Z3, 192(DI)(BX*1)
	ADDQ    $256, BX
	SUBQ    $64, CX
	JGE     four
few:
	ADDQ $64, CX
	JEQ  next
one:
	SCALED(0, Z0, Z4)
	TESTQ  R8, R8
	JEQ    noBias1
	VADDPS (R8)(BX*1), Z0, Z0
noBias1:
	TESTQ  R10, R10
	JEQ    noReLU1
	VMAXPS Z0, Z30, Z0
noReLU1:
	TESTQ  R9, R9
	JEQ    noResidual1
	VADDPS (R9)(BX*1), Z0, Z0
noResidual1:
	VMOVUPS Z0, (DI)(BX*1)
	ADDQ    $64, BX
	SUBQ    $16, CX
	JGT     one
next:
	ADDQ BX, SI // the rows of acc lie one after another
	ADDQ $4, R12
	ADDQ R11, DI
	TESTQ R9, R9
	JEQ  counted
	ADDQ R11, R9
counted:
	DECQ R13
	JGT  row
	VZEROUPPER
	RET

// func vecReLU(x *float32, n int)
TEXT ·vecReLU(SB), NOSPLIT, $0-16
	MOVQ   x+0(FP), SI
	MOVQ   n+8(FP), CX
	VXORPS Y14, Y14, Y14
loop:
	VMAXPS  (SI), Y14, Y0
	VMAXPS  32(SI), Y14, Y1
	VMOVUPS Y0, (SI)
	VMOVUPS Y1, 32(SI)
	ADDQ    $64, SI
	SUBQ    $16, CX
	JGT     loop
	VZEROUPPER
	RET

// func vecAdd(dst, x *float32, n int)
TEXT ·vecAdd(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
loop:
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VADDPS  (SI), Y0, Y0
	VADDPS  32(SI), Y1, Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ    $64, SI
	ADDQ    $64, DI
	SUBQ    $16, CX
	JGT     loop
	VZEROUPPER
	RET

// func vecScale(x *float32, n int, s float32)
TEXT ·vecScale(SB), NOSPLIT, $0-20
	MOVQ         x+0(FP), SI
	MOVQ         n+8(FP), CX
	VBROADCASTSS s+16(FP), Y15
loop:
	VMULPS  (SI), Y15, Y0
	VMULPS  32(SI), Y15, Y1
	VMOVUPS Y0, (SI)
	VMOVUPS Y1, 32(SI)
	ADDQ    $64, SI
	SUBQ    $16, CX
	JGT     loop
	VZEROUPPER
	RET

// func vecSum(lanes *[16]float32, x *float32, n int)
TEXT ·vecSum(SB), NOSPLIT, $0-24
	MOVQ   lanes+0(FP), DI
	MOVQ   x+8(FP), SI
	MOVQ   n+16(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
loop:
	VADDPS  (SI), Y0, Y0
	VADDPS  32(SI), Y1, Y1
	ADDQ    $64, SI
	SUBQ    $16, CX
	JGT     loop
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VZEROUPPER
	RET

// func vecDot(lanes *[16]float32, x, y *float32, n int)
TEXT ·vecDot(SB), NOSPLIT, $0-32
	MOVQ   lanes+0(FP), DI
	MOVQ   x+8(FP), SI
	MOVQ   y+16(FP), DX
	MOVQ   n+24(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
loop:
	VMOVUPS (SI), Y2
	VMOVUPS 32(SI), Y3
	VMULPS  (DX), Y2, Y2
	VMULPS  32(DX), Y3, Y3
	VADDPS  Y2, Y0, Y0
	VADDPS  Y3, Y1, Y1
	ADDQ    $64, SI
	ADDQ    $64, DX
	SUBQ    $16, CX
	JGT     loop
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VZEROUPPER
	RET

// func vecSquares(lanes *[16]float32, x *float32, n int, mean float32)
//
// Sums of (x-mean)².
TEXT ·vecSquares(SB), NOSPLIT, $0-28
	MOVQ         lanes+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         n+16(FP), CX
	VBROADCASTSS mean+24(FP), Y15
	VXORPS       Y0, Y0, Y0
	VXORPS       Y1, Y1, Y1
loop:
	VMOVUPS (SI), Y2
	VMOVUPS 32(SI), Y3
	VSUBPS  Y15, Y2, Y2
	VSUBPS  Y15, Y3, Y3
	VMULPS  Y2, Y2, Y2
	VMULPS  Y3, Y3, Y3
	VADDPS  Y2, Y0, Y0
	VADDPS  Y3, Y1, Y1
	ADDQ    $64, SI
	SUBQ    $16, CX
	JGT     loop
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VZEROUPPER
	RET

// func vecNorm(dst, x, gamma, beta *float32, n int, mean, inv float32)
//
// dst = ((x-mean)*inv)*gamma + beta; beta may be nil.
TEXT ·vecNorm(SB), NOSPLIT, $0-48
	MOVQ         dst+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         gamma+16(FP), DX
	MOVQ         beta+24(FP), R8
	MOVQ         n+32(FP), CX
	VBROADCASTSS mean+40(FP), Y15
	VBROADCASTSS inv+44(FP), Y14
	XORQ         BX, BX
loop:
	VMOVUPS (SI)(BX*1), Y0
	VMOVUPS 32(SI)(BX*1), Y1
	VSUBPS  Y15, Y0, Y0
	VSUBPS  Y15, Y1, Y1
	VMULPS  Y14, Y0, Y0
	VMULPS  Y14, Y1, Y1
	VMULPS  (DX)(BX*1), Y0, Y0
	VMULPS  32(DX)(BX*1), Y1, Y1
	TESTQ   R8, R8
	JEQ     noBeta
	VADDPS  (R8)(BX*1), Y0, Y0
	VADDPS  32(R8)(BX*1), Y1, Y1
noBeta:
	VMOVUPS Y0, (DI)(BX*1)
	VMOVUPS Y1, 32(DI)(BX*1)
	ADDQ    $64, BX
	SUBQ    $16, CX
	JGT     loop
	VZEROUPPER
	RET

// func vecAbsMax(x *float32, n int) uint32
//
// The largest of the bits without their sign.
TEXT ·vecAbsMax(SB), NOSPLIT, $0-20
	MOVQ         x+0(FP), SI
	MOVQ         n+8(FP), CX
	VBROADCASTSS floats<>+C_SIGN(SB), Y15
	VPXOR        Y0, Y0, Y0
	VPXOR        Y1, Y1, Y1
loop:
	VPANDN       (SI), Y15, Y2
	VPANDN       32(SI), Y15, Y3
	VPMAXUD      Y2, Y0, Y0
	VPMAXUD      Y3, Y1, Y1
	ADDQ         $64, SI
	SUBQ         $16, CX
	JGT          loop
	VPMAXUD      Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPMAXUD      X1, X0, X0
	VPSHUFD      $0x4e, X0, X1
	VPMAXUD      X1, X0, X0
	VPSHUFD      $0xb1, X0, X1
	VPMAXUD      X1, X0, X0
	VMOVD        X0, AX
	MOVL         AX, ret+16(FP)
	VZEROUPPER
	RET

// func vecQuantize(q *int8, x *float32, n int, inv float32)
//
// q = clamp(x*inv + magic - magic). Products are at most 127 and its rounding, so that packing never saturates.
TEXT ·vecQuantize(SB), NOSPLIT, $0-28
	MOVQ         q+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         n+16(FP), CX
	VBROADCASTSS inv+24(FP), Y15
	VBROADCASTSS floats<>+C_MAGIC(SB), Y14
	VBROADCASTSS floats<>+C_MAX127(SB), Y13
	VBROADCASTSS floats<>+C_MIN127(SB), Y12
loop:
	VMULPS       (SI), Y15, Y0
	VMULPS       32(SI), Y15, Y1
	VADDPS       Y14, Y0, Y0
	VADDPS       Y14, Y1, Y1
	VPSUBD       Y14, Y0, Y0
	VPSUBD       Y14, Y1, Y1
	VPMINSD      Y13, Y0, Y0
	VPMINSD      Y13, Y1, Y1
	VPMAXSD      Y12, Y0, Y0
	VPMAXSD      Y12, Y1, Y1
	VPACKSSDW    Y1, Y0, Y0     // 0-3 8-11 | 4-7 12-15
	VPERMQ       $0xd8, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPACKSSWB    X1, X0, X0
	VMOVDQU      X0, (DI)
	ADDQ         $64, SI
	ADDQ         $16, DI
	SUBQ         $16, CX
	JGT          loop
	VZEROUPPER
	RET

// func vecMax(x *float32, n int) float32
//
// The largest element, NaN left out: each step is x > max ? x : max.
TEXT ·vecMax(SB), NOSPLIT, $0-20
	MOVQ         x+0(FP), SI
	MOVQ         n+8(FP), CX
	VBROADCASTSS floats<>+C_INF(SB), Y0
	VBROADCASTSS floats<>+C_SIGN(SB), Y1
	VXORPS       Y1, Y0, Y0
	VMOVAPS      Y0, Y1
loop:
	VMOVUPS      (SI), Y2
	VMOVUPS      32(SI), Y3
	VMAXPS       Y0, Y2, Y0
	VMAXPS       Y1, Y3, Y1
	ADDQ         $64, SI
	SUBQ         $16, CX
	JGT          loop
	VMAXPS       Y1, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VMAXPS       X1, X0, X0
	VPSHUFD      $0x4e, X0, X1
	VMAXPS       X1, X0, X0
	VPSHUFD      $0xb1, X0, X1
	VMAXPS       X1, X0, X0
	VMOVSS       X0, ret+16(FP)
	VZEROUPPER
	RET

// func vecFind(x *float32, n int, m float32) int
//
// Where the first sixteen elements begin of which one is at least m; n if there are none.
TEXT ·vecFind(SB), NOSPLIT, $0-32
	MOVQ         x+0(FP), SI
	MOVQ         n+8(FP), CX
	VBROADCASTSS m+16(FP), Y15
	XORQ         AX, AX
loop:
	VCMPPS    $2, (SI)(AX*4), Y15, Y0 // m <= x
	VCMPPS    $2, 32(SI)(AX*4), Y15, Y1
	VORPS     Y1, Y0, Y0
	VMOVMSKPS Y0, DX
	TESTL     DX, DX
	JNE       found
	ADDQ      $16, AX
	CMPQ      AX, CX
	JLT       loop
found:
	MOVQ AX, ret+24(FP)
	VZEROUPPER
	RET

// func vecScores(dst, q, kb *float32, dim int, scale float32)
//
// Sixteen positions: dst = (Σ q[d]*kb[d]) * scale, d in order.
TEXT ·vecScores(SB), NOSPLIT, $0-36
	MOVQ   dst+0(FP), DI
	MOVQ   q+8(FP), SI
	MOVQ   kb+16(FP), DX
	MOVQ   dim+24(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
loop:
	VBROADCASTSS (SI), Y2
	VMULPS       (DX), Y2, Y3
	VMULPS       32(DX), Y2, Y4
	VADDPS       Y3, Y0, Y0
	VADDPS       Y4, Y1, Y1
	ADDQ         $4, SI
	ADDQ         $64, DX
	DECQ         CX
	JGT          loop
	VBROADCASTSS scale+32(FP), Y2
	VMULPS       Y2, Y0, Y0
	VMULPS       Y2, Y1, Y1
	VMOVUPS      Y0, (DI)
	VMOVUPS      Y1, 32(DI)
	VZEROUPPER
	RET

#define WEIGHTED(off, y) \
	VMULPS off(DX), Y15, Y14; \
	VADDPS Y14, y, y

// func vecWeighted(dst, p, v *float32, n, stride, rows int)
//
// dst[j] += p[i]*v[i*stride+j], i in order; stride in bytes. 64 columns at a time, then 16, their sums in registers.
TEXT ·vecWeighted(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DI
	MOVQ v+16(FP), R8
	MOVQ n+24(FP), R9
	MOVQ stride+32(FP), R10
	MOVQ rows+40(FP), R11
	SUBQ $64, R9
	JLT  few
many:
	MOVQ    p+8(FP), SI
	MOVQ    R8, DX
	MOVQ    R11, CX
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS 64(DI), Y2
	VMOVUPS 96(DI), Y3
	VMOVUPS 128(DI), Y4
	VMOVUPS 160(DI), Y5
	VMOVUPS 192(DI), Y6
	VMOVUPS 224(DI), Y7
loop:
	VBROADCASTSS (SI), Y15
	WEIGHTED(0, Y0)
	WEIGHTED(32, Y1)
	WEIGHTED(64, Y2)
	WEIGHTED(96, Y3)
	WEIGHTED(128, Y4)
	WEIGHTED(160, Y5)
	WEIGHTED(192, Y6)
	WEIGHTED(224, Y7)
	ADDQ    $4, SI
	ADDQ    R10, DX
	DECQ    CX
	JGT     loop
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	VMOVUPS Y4, 128(DI)
	VMOVUPS Y5, 160(DI)
	VMOVUPS Y6, 192(DI)
	VMOVUPS Y7, 224(DI)
	ADDQ    $256, DI
	ADDQ    $256, R8
	SUBQ    $64, R9
	JGE     many
few:
	ADDQ $64, R9
	JLE  done
sixteen:
	MOVQ    p+8(FP), SI
	MOVQ    R8, DX
	MOVQ    R11, CX
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
loop16:
	VBROADCASTSS (SI), Y15
	WEIGHTED(0, Y0)
	WEIGHTED(32, Y1)
	ADDQ    $4, SI
	ADDQ    R10, DX
	DECQ    CX
	JGT     loop16
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ    $64, DI
	ADDQ    $64, R8
	SUBQ    $16, R9
	JGT     sixteen
done:
	VZEROUPPER
	RET
