// exp, tanh, sigmoid and erf for AVX-512: sixteen elements in a register, step for step as in math.go. Needs floats.h, and CONSTANTS
// before: Z30 is 1, Z31 the sign bit. One instruction is one rounding: products and sums apart, never VFMADD.

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

// ERFZ: y = erf32(x). Uses Z20-Z25, K1, K2.
#define ERFZ(x, y) \
	VPANDND   x, Z31, Z23;                       \ // a = |x|
	VBROADCASTSS floats<>+C_FOUR(SB), Z24;       \
	VMINPS    Z23, Z24, Z24;                     \ // 4 < a ? 4 : a
	WITH(VMULPS, C_L6, Z24, Z25);                \
	WITH(VADDPS, C_L5, Z25, Z25);                \
	VMULPS    Z24, Z25, Z25;                     \
	WITH(VADDPS, C_L4, Z25, Z25);                \
	VMULPS    Z24, Z25, Z25;                     \
	WITH(VADDPS, C_L3, Z25, Z25);                \
	VMULPS    Z24, Z25, Z25;                     \
	WITH(VADDPS, C_L2, Z25, Z25);                \
	VMULPS    Z24, Z25, Z25;                     \
	WITH(VADDPS, C_L1, Z25, Z25);                \
	VMULPS    Z24, Z25, Z25;                     \
	WITH(VADDPS, C_L0, Z25, Z25);                \
	VPXORD    Z31, Z25, Z25;                     \
	EXPZ(Z25, y);                                \
	VSUBPS    y, Z30, y;                         \ // 1 - e^-Q(a)
	VPANDD    x, Z31, Z24;                       \
	VPORD     Z24, y, y;                         \
	VMULPS    x, x, Z24;                         \ // z
	WITH(VMULPS, C_S6, Z24, Z25);                \
	WITH(VADDPS, C_S5, Z25, Z25);                \
	VMULPS    Z24, Z25, Z25;                     \
	WITH(VADDPS, C_S4, Z25, Z25);                \
	VMULPS    Z24, Z25, Z25;                     \
	WITH(VADDPS, C_S3, Z25, Z25);                \
	VMULPS    Z24, Z25, Z25;                     \
	WITH(VADDPS, C_S2, Z25, Z25);                \
	VMULPS    Z24, Z25, Z25;                     \
	WITH(VADDPS, C_S1, Z25, Z25);                \
	VMULPS    Z24, Z25, Z25;                     \
	WITH(VADDPS, C_S0, Z25, Z25);                \
	VMULPS    x, Z25, Z25;                       \
	VCMPPS.BCST $1, floats<>+C_SMAX(SB), Z23, K1; \ // a < 0.92
	VADDPS    x, Z25, K1, y

#define CONSTANTS \
	VBROADCASTSS floats<>+C_ONE(SB), Z30; \
	VBROADCASTSS floats<>+C_SIGN(SB), Z31
