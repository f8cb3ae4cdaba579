// exp, tanh and sigmoid for AVX2: sixteen elements in two registers, step for step as in math.go. Needs floats.h.
// One instruction is one rounding: products and sums apart, never VFMADD.

#define CONST(c, y) VBROADCASTSS floats<>+c(SB), y

// MULADD: p = p*r + c, both halves. Uses Y15.
#define MULADD(c, p0, p1, r0, r1) \
	CONST(c, Y15);        \
	VMULPS r0, p0, p0;    \
	VMULPS r1, p1, p1;    \
	VADDPS Y15, p0, p0;   \
	VADDPS Y15, p1, p1

// EXP: Y6, Y7 = exp32(Y0, Y1). Uses Y2-Y5, Y15.
#define EXP \
	CONST(C_LOG2E, Y15);           \
	VMULPS Y15, Y0, Y2;            \
	VMULPS Y15, Y1, Y3;            \
	CONST(C_MAGIC, Y15);           \
	VADDPS Y15, Y2, Y2;            \ // t = x*log2e + magic
	VADDPS Y15, Y3, Y3;            \
	VSUBPS Y15, Y2, Y4;            \ // n = t - magic
	VSUBPS Y15, Y3, Y5;            \
	CONST(C_LN2HI, Y15);           \
	VMULPS Y15, Y4, Y6;            \
	VMULPS Y15, Y5, Y7;            \
	VSUBPS Y6, Y0, Y6;             \ // r = x - n*ln2Hi
	VSUBPS Y7, Y1, Y7;             \
	CONST(C_LN2LO, Y15);           \
	VMULPS Y15, Y4, Y4;            \
	VMULPS Y15, Y5, Y5;            \
	VSUBPS Y4, Y6, Y4;             \ // r -= n*ln2Lo
	VSUBPS Y5, Y7, Y5;             \
	CONST(C_E4, Y6);               \
	VMOVAPS Y6, Y7;                \
	MULADD(C_E3, Y6, Y7, Y4, Y5);  \
	MULADD(C_E2, Y6, Y7, Y4, Y5);  \
	MULADD(C_E1, Y6, Y7, Y4, Y5);  \
	MULADD(C_E0, Y6, Y7, Y4, Y5);  \
	VMULPS Y4, Y6, Y6;             \
	VMULPS Y5, Y7, Y7;             \
	VMULPS Y4, Y6, Y6;             \
	VMULPS Y5, Y7, Y7;             \
	VADDPS Y4, Y6, Y6;             \ // (p*r)*r + r
	VADDPS Y5, Y7, Y7;             \
	CONST(C_ONE, Y15);             \
	VADDPS Y15, Y6, Y6;            \
	VADDPS Y15, Y7, Y7;            \
	VPSLLD $23, Y2, Y2;            \ // n, moved into the exponent
	VPSLLD $23, Y3, Y3;            \
	VPADDD Y2, Y6, Y6;             \
	VPADDD Y3, Y7, Y7;             \
	CONST(C_EXPMIN, Y15);          \
	VCMPPS $1, Y15, Y0, Y2;        \ // x < expMin: 0
	VCMPPS $1, Y15, Y1, Y3;        \
	VANDNPS Y6, Y2, Y6;            \
	VANDNPS Y7, Y3, Y7;            \
	CONST(C_EXPMAX, Y15);          \
	VCMPPS $6, Y15, Y0, Y2;        \ // not x <= expMax: x + Inf, which is Inf or NaN
	VCMPPS $6, Y15, Y1, Y3;        \
	CONST(C_INF, Y15);             \
	VADDPS Y15, Y0, Y4;            \
	VADDPS Y15, Y1, Y5;            \
	VBLENDVPS Y2, Y4, Y6, Y6;      \
	VBLENDVPS Y3, Y5, Y7, Y7

// SIGMOID: Y6, Y7 = sigmoid32(Y8, Y9). Uses Y0-Y5, Y15.
#define SIGMOID \
	CONST(C_SIGN, Y15);        \
	VORPS Y15, Y8, Y0;         \
	VORPS Y15, Y9, Y1;         \
	EXP;                       \ // e = e^-|x|
	VXORPS Y2, Y2, Y2;         \
	VCMPPS $1, Y2, Y8, Y3;     \ // x < 0
	VCMPPS $1, Y2, Y9, Y4;     \
	CONST(C_ONE, Y15);         \
	VBLENDVPS Y3, Y6, Y15, Y3; \ // x < 0 ? e : 1
	VBLENDVPS Y4, Y7, Y15, Y4; \
	VADDPS Y15, Y6, Y6;        \
	VADDPS Y15, Y7, Y7;        \
	VDIVPS Y6, Y3, Y6;         \
	VDIVPS Y7, Y4, Y7

// ABS: Y12, Y13 = |Y8, Y9|. Uses Y15.
#define ABS \
	CONST(C_SIGN, Y15);    \
	VANDNPS Y8, Y15, Y12;  \
	VANDNPS Y9, Y15, Y13

// WITHSIGN: Y10, Y11 = Y6, Y7 with the signs of Y8, Y9. Uses Y15.
#define WITHSIGN \
	CONST(C_SIGN, Y15);    \
	VANDPS Y8, Y15, Y10;   \
	VANDPS Y9, Y15, Y11;   \
	VORPS Y6, Y10, Y10;    \
	VORPS Y7, Y11, Y11

// SMALL: Y10, Y11 = Y4, Y5 where Y12, Y13 < c. Uses Y15.
#define SMALL(c) \
	CONST(c, Y15);                \
	VCMPPS $1, Y15, Y12, Y12;     \
	VCMPPS $1, Y15, Y13, Y13;     \
	VBLENDVPS Y12, Y4, Y10, Y10;  \
	VBLENDVPS Y13, Y5, Y11, Y11

// TANH: Y10, Y11 = tanh32(Y8, Y9). Uses Y0-Y7, Y12, Y13, Y15.
#define TANH \
	ABS;                           \
	VADDPS Y12, Y12, Y0;           \
	VADDPS Y13, Y13, Y1;           \
	EXP;                           \
	CONST(C_ONE, Y15);             \
	VADDPS Y15, Y6, Y6;            \
	VADDPS Y15, Y7, Y7;            \
	CONST(C_TWO, Y2);              \
	VDIVPS Y6, Y2, Y6;             \
	VDIVPS Y7, Y2, Y7;             \
	VSUBPS Y6, Y15, Y6;            \ // 1 - 2/(e+1)
	VSUBPS Y7, Y15, Y7;            \
	WITHSIGN;                      \
	VMULPS Y8, Y8, Y2;             \ // z
	VMULPS Y9, Y9, Y3;             \
	CONST(C_T4, Y4);               \
	VMOVAPS Y4, Y5;                \
	MULADD(C_T3, Y4, Y5, Y2, Y3);  \
	MULADD(C_T2, Y4, Y5, Y2, Y3);  \
	MULADD(C_T1, Y4, Y5, Y2, Y3);  \
	MULADD(C_T0, Y4, Y5, Y2, Y3);  \
	VMULPS Y2, Y4, Y4;             \
	VMULPS Y3, Y5, Y5;             \
	VMULPS Y8, Y4, Y4;             \
	VMULPS Y9, Y5, Y5;             \
	VADDPS Y8, Y4, Y4;             \
	VADDPS Y9, Y5, Y5;             \
	SMALL(C_TMAX)
