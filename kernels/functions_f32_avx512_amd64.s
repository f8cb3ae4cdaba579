#include "textflag.h"
#include "floats.h"
#include "functions_avx512_amd64.h"

// Functions of floats for AVX-512, sixteen elements a turn. n is a multiple of 16 above 0 where nothing else is said.

#define EACH(name, body) \
TEXT name(SB), NOSPLIT, $0-24;  \
	MOVQ dst+0(FP), DI;         \
	MOVQ x+8(FP), SI;           \
	MOVQ n+16(FP), CX;          \
	CONSTANTS;                  \
loop:                           \
	VMOVUPS (SI), Z0;           \
	body;                       \
	VMOVUPS Z1, (DI);           \
	ADDQ $64, SI;               \
	ADDQ $64, DI;               \
	SUBQ $16, CX;               \
	JGT  loop;                  \
	VZEROUPPER;                 \
	RET

// HALF: Z1 = (0.5*Z0) * (1 + Z1)
#define HALF \
	WITH(VMULPS, C_HALF, Z0, Z0); \
	VADDPS Z30, Z1, Z1;           \
	VMULPS Z0, Z1, Z1

#define GELUZ \
	WITH(VMULPS, C_RSQRT2, Z0, Z2); \
	ERFZ(Z2, Z1);                   \
	HALF

#define GELUTANHZ \
	VMULPS Z0, Z0, Z2;           \
	VMULPS Z0, Z2, Z2;           \
	WITH(VMULPS, C_GT0, Z2, Z2); \
	VADDPS Z2, Z0, Z2;           \
	WITH(VMULPS, C_GT1, Z2, Z2); \
	TANHZ(Z2, Z1);               \
	HALF

// func expAVX512(dst, x *float32, n int)
EACH(·expAVX512, EXPZ(Z0, Z1))

// func tanhAVX512(dst, x *float32, n int)
EACH(·tanhAVX512, TANHZ(Z0, Z1))

// func sigmoidAVX512(dst, x *float32, n int)
EACH(·sigmoidAVX512, SIGMOIDZ(Z0, Z1))

// func geluAVX512(dst, x *float32, n int)
EACH(·geluAVX512, GELUZ)

// func geluTanhAVX512(dst, x *float32, n int)
EACH(·geluTanhAVX512, GELUTANHZ)

// func mulSigmoidAVX512(dst, x *float32, n int, s float32)
//
// dst = x * sigmoid(s*x)
TEXT ·mulSigmoidAVX512(SB), NOSPLIT, $0-28
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS s+24(FP), Z29
	CONSTANTS
loop:
	VMOVUPS (SI), Z0
	VMULPS  Z29, Z0, Z2
	SIGMOIDZ(Z2, Z1)
	VMULPS  Z1, Z0, Z1
	VMOVUPS Z1, (DI)
	ADDQ $64, SI
	ADDQ $64, DI
	SUBQ $16, CX
	JGT  loop
	VZEROUPPER
	RET

// TAIL: K3 = a bit for each of the n%16 last elements, R9 = n/16, for n in R8. Uses AX, CX.
#define TAIL \
	MOVQ R8, CX;  \
	ANDQ $15, CX; \
	MOVL $1, AX;  \
	SHLL CX, AX;  \
	DECL AX;      \
	KMOVW AX, K3; \
	MOVQ R8, R9;  \
	SHRQ $4, R9

// FOLD: the first of X0 is made of the sixteen of Z0 by OP, in the order i+8, i+4, i+2, i+1.
#define FOLD(OP) \
	VEXTRACTF64X4 $1, Z0, Y1; \
	OP Y1, Y0, Y0;            \
	VEXTRACTF128 $1, Y0, X1;  \
	OP X1, X0, X0;            \
	VPSHUFD $0x4e, X0, X1;    \
	OP X1, X0, X0;            \
	VPSHUFD $0xb1, X0, X1;    \
	OP X1, X0, X0

// LARGEST: Z0 = the largest of the elements at SI in each lane, NaN left out: each step is x > max ? x : max, in four chains while there is
// enough. Uses Z1-Z4, CX, DX.
#define LARGEST \
	VBROADCASTSS floats<>+C_INF(SB), Z0; \
	VPORD Z31, Z0, Z0;      \
	MOVQ  SI, DX;           \
	MOVQ  R9, CX;           \
	SUBQ  $4, CX;           \
	JLT   maxFew;           \
	VMOVAPS Z0, Z2;         \
	VMOVAPS Z0, Z3;         \
	VMOVAPS Z0, Z4;         \
max4:                       \
	VMOVUPS (DX), Z1;       \
	VMAXPS  Z0, Z1, Z0;     \
	VMOVUPS 64(DX), Z1;     \
	VMAXPS  Z2, Z1, Z2;     \
	VMOVUPS 128(DX), Z1;    \
	VMAXPS  Z3, Z1, Z3;     \
	VMOVUPS 192(DX), Z1;    \
	VMAXPS  Z4, Z1, Z4;     \
	ADDQ    $256, DX;       \
	SUBQ    $4, CX;         \
	JGE     max4;           \
	VMAXPS  Z2, Z0, Z0;     \
	VMAXPS  Z4, Z3, Z3;     \
	VMAXPS  Z3, Z0, Z0;     \
maxFew:                     \
	ADDQ    $4, CX;         \
	JEQ     maxTail;        \
max:                        \
	VMOVUPS (DX), Z1;       \
	VMAXPS  Z0, Z1, Z0;     \
	ADDQ    $64, DX;        \
	DECQ    CX;             \
	JGT     max;            \
maxTail:                    \
	KORTESTW K3, K3;        \
	JEQ      maxed;         \
	VMOVUPS.Z (DX), K3, Z1; \
	VMAXPS   Z0, Z1, K3, Z0;\
maxed:

// func softmaxAVX512(x *float32, n int)
//
// Any n above 0.
TEXT ·softmaxAVX512(SB), NOSPLIT, $0-16
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), R8
	CONSTANTS
	TAIL
	LARGEST
	FOLD(VMAXPS)
	VBROADCASTSS X0, Z29

	VPXORD Z28, Z28, Z28 // the sum
	MOVQ   SI, DX
	MOVQ   R9, CX
	TESTQ  CX, CX
	JEQ    expTail
exp:
	VMOVUPS (DX), Z0
	VSUBPS  Z29, Z0, Z0
	EXPZ(Z0, Z1)
	VADDPS  Z1, Z28, Z28
	VMOVUPS Z1, (DX)
	ADDQ    $64, DX
	DECQ    CX
	JGT     exp
expTail:
	KORTESTW K3, K3
	JEQ      summed
	VMOVUPS.Z (DX), K3, Z0
	VSUBPS   Z29, Z0, Z0
	EXPZ(Z0, Z1)
	VADDPS   Z1, Z28, K3, Z28
	VMOVAPS  Z1, Z27 // stored once: what a mask has stored has to reach the cache before it can be loaded
summed:
	VMOVAPS Z28, Z0
	FOLD(VADDPS)
	VDIVSS  X0, X30, X0
	VBROADCASTSS X0, Z29
	VBROADCASTSS floats<>+C_NORMAL(SB), Z28

	// x *= 1/sum, and 0 where that is below 2^-126.
	MOVQ  SI, DX
	MOVQ  R9, CX
	TESTQ CX, CX
	JEQ   mulTail
mul:
	VMULPS    (DX), Z29, Z0
	VCMPPS    $5, Z28, Z0, K1 // not below
	VMOVUPS.Z Z0, K1, Z0
	VMOVUPS   Z0, (DX)
	ADDQ      $64, DX
	DECQ      CX
	JGT       mul
mulTail:
	KORTESTW K3, K3
	JEQ      done
	VMULPS   Z29, Z27, Z0
	VCMPPS   $5, Z28, Z0, K1
	VMOVUPS.Z Z0, K1, Z0
	VMOVUPS  Z0, K3, (DX)
done:
	VZEROUPPER
	RET

// func argMaxAVX512(x *float32, n int, floor float32) int
//
// Where the largest lies, the first of equal ones; n if there is nothing but NaN, or if it is not above floor. Any n above 0.
TEXT ·argMaxAVX512(SB), NOSPLIT, $0-32
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), R8
	CONSTANTS
	TAIL
	LARGEST
	FOLD(VMAXPS)
	VMOVSS   floor+16(FP), X1
	VUCOMISS X0, X1
	JCC      none // floor >= the largest; a NaN is no floor
	VBROADCASTSS X0, Z29
	XORQ  BX, BX
	MOVQ  R9, CX
	TESTQ CX, CX
	JEQ   findTail
find:
	VCMPPS   $0, (SI)(BX*4), Z29, K1
	KORTESTW K1, K1
	JNE      found
	ADDQ     $16, BX
	DECQ     CX
	JGT      find
findTail:
	VMOVUPS.Z (SI)(BX*4), K3, Z0
	VCMPPS   $0, Z0, Z29, K3, K1
	KORTESTW K1, K1
	JNE      found
none:
	MOVQ     R8, ret+24(FP)
	VZEROUPPER
	RET
found:
	KMOVW K1, AX
	BSFL  AX, AX
	ADDQ  AX, BX
	MOVQ  BX, ret+24(FP)
	VZEROUPPER
	RET

// func layerNormAVX512(dst, x, gamma, beta *float32, n int, eps float32)
//
// beta may be nil.
TEXT ·layerNormAVX512(SB), NOSPLIT, $0-44
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ gamma+16(FP), R8
	MOVQ beta+24(FP), R9
	MOVQ n+32(FP), R10
	CONSTANTS
	VXORPS     X29, X29, X29
	VCVTSI2SSQ R10, X29, X29
	VPXORD     Z0, Z0, Z0
	MOVQ       SI, DX
	MOVQ       R10, CX
sum:
	VADDPS (DX), Z0, Z0
	ADDQ   $64, DX
	SUBQ   $16, CX
	JGT    sum
	FOLD(VADDPS)
	VDIVSS X29, X0, X0
	VBROADCASTSS X0, Z28 // mean = sum/n
	VPXORD Z0, Z0, Z0
	MOVQ   SI, DX
	MOVQ   R10, CX
squares:
	VMOVUPS (DX), Z1
	VSUBPS  Z28, Z1, Z1
	VMULPS  Z1, Z1, Z1
	VADDPS  Z1, Z0, Z0
	ADDQ    $64, DX
	SUBQ    $16, CX
	JGT     squares
	FOLD(VADDPS)
	VDIVSS  X29, X0, X0
	VADDSS  eps+40(FP), X0, X0
	VSQRTSS X0, X0, X0
	VDIVSS  X0, X30, X0
	VBROADCASTSS X0, Z27 // 1/sqrt(squares/n + eps)
norm:
	VMOVUPS (SI), Z1
	VSUBPS  Z28, Z1, Z1
	VMULPS  Z27, Z1, Z1
	VMULPS  (R8), Z1, Z1
	TESTQ   R9, R9
	JEQ     store
	VADDPS  (R9), Z1, Z1
	ADDQ    $64, R9
store:
	VMOVUPS Z1, (DI)
	ADDQ    $64, SI
	ADDQ    $64, R8
	ADDQ    $64, DI
	SUBQ    $16, R10
	JGT     norm
	VZEROUPPER
	RET

// func quantizeAVX512(q *int8, x *float32, n int) uint32
//
// The largest of the bits of x without their sign, absmax; unless they are below those of 2^-100 or from those of Inf on:
// q = clamp(x*(127/absmax) + magic - magic)
TEXT ·quantizeAVX512(SB), NOSPLIT, $0-28
	MOVQ q+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), R8
	CONSTANTS
	MOVQ   SI, DX
	MOVQ   R8, CX
	VPXORD Z0, Z0, Z0
max:
	VPANDND (DX), Z31, Z1
	VPMAXUD Z1, Z0, Z0
	ADDQ    $64, DX
	SUBQ    $16, CX
	JGT     max
	FOLD(VPMAXUD)
	VMOVD X0, AX
	MOVL  AX, ret+24(FP)
	SUBL  $0x0d800000, AX
	CMPL  AX, $(0x7f800000-0x0d800000)
	JCC   done
	VBROADCASTSS floats<>+C_MAX127(SB), X1 // 127 as an integer
	VCVTDQ2PS X1, X1
	VDIVSS    X0, X1, X1
	VBROADCASTSS X1, Z29
	VBROADCASTSS floats<>+C_MAGIC(SB), Z28
	VPBROADCASTD floats<>+C_MIN127(SB), Z27
loop:
	VMULPS   (SI), Z29, Z0
	VADDPS   Z28, Z0, Z0
	VPSUBD   Z28, Z0, Z0
	VPMAXSD  Z27, Z0, Z0
	VPMOVSDB Z0, (DI) // at most 127
	ADDQ     $64, SI
	ADDQ     $16, DI
	SUBQ     $16, R8
	JGT      loop
done:
	VZEROUPPER
	RET

// func scoresAVX512(dst, q, kb *float32, dim, n int, scale float32)
//
// n positions, any above 0, sixteen at a time: dst = (Σ q[d]*kb[d]) * scale, d in order. Keys of a large batch come from memory, and
// those of the next heads lie behind: they are asked for in order, a line for each that is read.
#define ADDSCORE(i) \
	PREFETCHT0  (i*64+4096)(DX);    \
	VMOVUPS     (i*64)(DX), Z1;     \
	VMULPS.BCST (i*4)(SI), Z1, Z1;  \
	VADDPS      Z1, Z0, Z0

TEXT ·scoresAVX512(SB), NOSPLIT, $0-44
	MOVQ dst+0(FP), DI
	MOVQ q+8(FP), R10
	MOVQ kb+16(FP), DX
	MOVQ dim+24(FP), R11
	MOVQ n+32(FP), R8
	VBROADCASTSS scale+40(FP), Z29
	TAIL
block:
	MOVQ   R10, SI
	MOVQ   R11, CX
	VPXORD Z0, Z0, Z0
	SUBQ   $4, CX
	JLT    few
four:
	ADDSCORE(0)
	ADDSCORE(1)
	ADDSCORE(2)
	ADDSCORE(3)
	ADDQ $16, SI
	ADDQ $256, DX
	SUBQ $4, CX
	JGE  four
few:
	ADDQ $4, CX
	JEQ  scale
one:
	ADDSCORE(0)
	ADDQ $4, SI
	ADDQ $64, DX
	DECQ CX
	JGT  one
scale:
	VMULPS Z29, Z0, Z0
	DECQ   R9
	JLT    last
	VMOVUPS Z0, (DI)
	ADDQ   $64, DI
	SUBQ   $16, R8
	JGT    block
	VZEROUPPER
	RET
last:
	VMOVUPS Z0, K3, (DI)
	VZEROUPPER
	RET

// func storeKeysAVX512(kb, k *float32, n, dim, stride int)
//
// kb[j*16+p] = k[p*stride+j], 0 from p = n on. Sixteen elements of sixteen rows, Z0-Z15, are turned at a time.

// KEYROW loads the next row, if there is one.
#define KEYROW(z) \
	VMOVUPS (R8), z; \
	ADDQ    R11, R8; \
	DECQ    CX;      \
	JEQ     turn

// LANES4 turns what four rows a to d have in each lane: element i of the four rows into register i of w to z.
#define LANES4(a, b, c, d, w, x, y, z) \
	VUNPCKLPS b, a, Z28;   \
	VUNPCKHPS b, a, Z29;   \
	VUNPCKLPS d, c, Z30;   \
	VUNPCKHPS d, c, Z31;   \
	VUNPCKLPD Z30, Z28, w; \
	VUNPCKHPD Z30, Z28, x; \
	VUNPCKLPD Z31, Z29, y; \
	VUNPCKHPD Z31, Z29, z

// STORELANES: a to d hold element i of four rows each, of i, i + 4, i + 8 and i + 12 a lane: four times sixteen rows.
#define STORELANES(i, a, b, c, d) \
	VSHUFF32X4 $0x88, b, a, Z28;    \
	VSHUFF32X4 $0xdd, b, a, Z29;    \
	VSHUFF32X4 $0x88, d, c, Z30;    \
	VSHUFF32X4 $0xdd, d, c, Z31;    \
	VSHUFF32X4 $0x88, Z30, Z28, a;  \
	VSHUFF32X4 $0x88, Z31, Z29, b;  \
	VSHUFF32X4 $0xdd, Z30, Z28, c;  \
	VSHUFF32X4 $0xdd, Z31, Z29, d;  \
	VMOVUPS a, (i*64)(DI);          \
	VMOVUPS b, (i*64+256)(DI);      \
	VMOVUPS c, (i*64+512)(DI);      \
	VMOVUPS d, (i*64+768)(DI)

TEXT ·storeKeysAVX512(SB), NOSPLIT, $0-40
	MOVQ kb+0(FP), DI
	MOVQ k+8(FP), SI
	MOVQ n+16(FP), R9
	MOVQ dim+24(FP), R10
	MOVQ stride+32(FP), R11
loop:
	MOVQ SI, R8
	MOVQ R9, CX
	CMPQ CX, $16
	JEQ  load
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	VPXORD Z4, Z4, Z4
	VPXORD Z5, Z5, Z5
	VPXORD Z6, Z6, Z6
	VPXORD Z7, Z7, Z7
	VPXORD Z8, Z8, Z8
	VPXORD Z9, Z9, Z9
	VPXORD Z10, Z10, Z10
	VPXORD Z11, Z11, Z11
	VPXORD Z12, Z12, Z12
	VPXORD Z13, Z13, Z13
	VPXORD Z14, Z14, Z14
	VPXORD Z15, Z15, Z15
load:
	KEYROW(Z0)
	KEYROW(Z1)
	KEYROW(Z2)
	KEYROW(Z3)
	KEYROW(Z4)
	KEYROW(Z5)
	KEYROW(Z6)
	KEYROW(Z7)
	KEYROW(Z8)
	KEYROW(Z9)
	KEYROW(Z10)
	KEYROW(Z11)
	KEYROW(Z12)
	KEYROW(Z13)
	KEYROW(Z14)
	VMOVUPS (R8), Z15
turn:
	LANES4(Z0, Z1, Z2, Z3, Z0, Z1, Z2, Z3)
	LANES4(Z4, Z5, Z6, Z7, Z4, Z5, Z6, Z7)
	LANES4(Z8, Z9, Z10, Z11, Z8, Z9, Z10, Z11)
	LANES4(Z12, Z13, Z14, Z15, Z12, Z13, Z14, Z15)
	STORELANES(0, Z0, Z4, Z8, Z12)
	STORELANES(1, Z1, Z5, Z9, Z13)
	STORELANES(2, Z2, Z6, Z10, Z14)
	STORELANES(3, Z3, Z7, Z11, Z15)
	ADDQ $64, SI
	ADDQ $1024, DI
	SUBQ $16, R10
	JGT  loop
	VZEROUPPER
	RET

// func weightedAVX512(dst, p, v *float32, n, stride, rows int)
//
// dst[j] += p[i]*v[i*stride+j], i in order; stride in bytes. 64 columns at a time, then 16, their sums in registers.
#define WEIGHTED(off, z, t) \
	VMULPS off(DX), Z29, t; \
	VADDPS t, z, z

TEXT ·weightedAVX512(SB), NOSPLIT, $0-48
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
	VMOVUPS (DI), Z0
	VMOVUPS 64(DI), Z1
	VMOVUPS 128(DI), Z2
	VMOVUPS 192(DI), Z3
loop:
	VBROADCASTSS (SI), Z29
	WEIGHTED(0, Z0, Z4)
	WEIGHTED(64, Z1, Z5)
	WEIGHTED(128, Z2, Z6)
	WEIGHTED(192, Z3, Z7)
	ADDQ    $4, SI
	ADDQ    R10, DX
	DECQ    CX
	JGT     loop
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	VMOVUPS Z2, 128(DI)
	VMOVUPS Z3, 192(DI)
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
	VMOVUPS (DI), Z0
loop16:
	VBROADCASTSS (SI), Z29
	WEIGHTED(0, Z0, Z4)
	ADDQ    $4, SI
	ADDQ    R10, DX
	DECQ    CX
	JGT     loop16
	VMOVUPS Z0, (DI)
	ADDQ    $64, DI
	ADDQ    $64, R8
	SUBQ    $16, R9
	JGT     sixteen
done:
	VZEROUPPER
	RET
