// exp, tanh and sigmoid for NEON: sixteen elements in four registers, step for step as in math.go, four independent instructions
// between a result and its use. Products and sums apart, never FMLA. R9 holds the address of the constants; V28-V31 hold the
// constants in use. Needs neon_arm64.h, quads_arm64.h and floats.h.

// MULADD: p = p*r + c.
#define MULADD(c, p, r) \
	CONST(c, F29);     \
	FMUL4(p, p, r);    \
	FADD4C(p, p, 29)

// EXP: V20-V23 = exp32(V0-V3). Uses V4-V7, V16-V19, V24-V27.
#define EXP \
	CONST(C_LOG2E, F28);   \
	CONST(C_MAGIC, F29);   \
	CONST(C_LN2HI, F30);   \
	CONST(C_LN2LO, F31);   \
	FMUL4C(4, 0, 28);      \
	FADD4C(4, 4, 29);      \ // t = x*log2e + magic
	FSUB4C(16, 4, 29);     \ // n = t - magic
	FMUL4C(24, 16, 30);    \
	FSUB4(24, 0, 24);      \ // r = x - n*ln2Hi
	FMUL4C(16, 16, 31);    \
	FSUB4(16, 24, 16);     \ // r -= n*ln2Lo
	CONST(C_E4, F28);      \
	MOV4C(20, 28);         \
	MULADD(C_E3, 20, 16);  \
	MULADD(C_E2, 20, 16);  \
	MULADD(C_E1, 20, 16);  \
	MULADD(C_E0, 20, 16);  \
	FMUL4(20, 20, 16);     \
	FMUL4(20, 20, 16);     \
	CONST(C_ONE, F28);     \
	FADD4(20, 20, 16);     \ // (p*r)*r + r
	FADD4C(20, 20, 28);    \
	SHL4(4, 4, 23);        \ // n, moved into the exponent
	CONST(C_EXPMIN, F29);  \
	ADD4(20, 20, 4);       \
	CFCMGT4(24, 29, 0);    \ // expMin > x: 0
	CONST(C_EXPMAX, F30);  \
	BIC4(20, 20, 24);      \
	CFCMGE4(24, 30, 0);    \ // not expMax >= x: x + Inf, which is Inf or NaN
	CONST(C_INF, F31);     \
	FADD4C(16, 0, 31);     \
	BIF4(20, 16, 24)

// SIGMOID: V20-V23 = sigmoid32(V8-V11). Uses V0-V7, V16-V19, V24-V27.
#define SIGMOID \
	CONST(C_SIGN, F28);   \
	ORR4C(0, 8, 28);      \
	EXP;                  \ // e = e^-|x|
	CONST(C_ONE, F28);    \
	FCMLT4(24, 8);        \ // x < 0
	MOV4C(16, 28);        \
	BIT4(16, 20, 24);     \ // x < 0 ? e : 1
	FADD4C(20, 20, 28);   \
	FDIV4(20, 16, 20)

// WITHSIGN gives V20-V23 the signs of V8-V11. Uses V24-V27.
#define WITHSIGN \
	CONST(C_SIGN, F28);   \
	AND4C(24, 8, 28);     \
	ORR4(20, 20, 24)

// TANH: V20-V23 = tanh32(V8-V11). Uses V0-V7, V12-V19, V24-V27.
#define TANH \
	CONST(C_SIGN, F28);   \
	BIC4C(12, 8, 28);     \ // a = |x|
	FADD4(0, 12, 12);     \
	EXP;                  \
	CONST(C_ONE, F28);    \
	CONST(C_TWO, F29);    \
	FADD4C(20, 20, 28);   \
	CFDIV4(20, 29, 20);   \
	CFSUB4(20, 28, 20);   \ // 1 - 2/(e+1)
	WITHSIGN;             \
	CONST(C_T4, F28);     \
	FMUL4(0, 8, 8);       \ // z
	MOV4C(4, 28);         \
	MULADD(C_T3, 4, 0);   \
	MULADD(C_T2, 4, 0);   \
	MULADD(C_T1, 4, 0);   \
	MULADD(C_T0, 4, 0);   \
	FMUL4(4, 4, 0);       \
	FMUL4(4, 4, 8);       \
	CONST(C_TMAX, F28);   \
	FADD4(4, 4, 8);       \
	CFCMGT4(24, 28, 12);  \ // a < 0.625
	BIT4(20, 4, 24)
