// Operations on sixteen elements: four registers from d, n and m on. Needs neon_arm64.h and floats.h.
// XC takes the register c for all four in the last place, CX in the first.

#define FADD4(d, n, m) FADD_4S(d, n, m); FADD_4S(d+1, n+1, m+1); FADD_4S(d+2, n+2, m+2); FADD_4S(d+3, n+3, m+3)
#define FSUB4(d, n, m) FSUB_4S(d, n, m); FSUB_4S(d+1, n+1, m+1); FSUB_4S(d+2, n+2, m+2); FSUB_4S(d+3, n+3, m+3)
#define FMUL4(d, n, m) FMUL_4S(d, n, m); FMUL_4S(d+1, n+1, m+1); FMUL_4S(d+2, n+2, m+2); FMUL_4S(d+3, n+3, m+3)
#define FDIV4(d, n, m) FDIV_4S(d, n, m); FDIV_4S(d+1, n+1, m+1); FDIV_4S(d+2, n+2, m+2); FDIV_4S(d+3, n+3, m+3)
#define FCMGT4(d, n, m) FCMGT_4S(d, n, m); FCMGT_4S(d+1, n+1, m+1); FCMGT_4S(d+2, n+2, m+2); FCMGT_4S(d+3, n+3, m+3)
#define ADD4(d, n, m) ADD_4S(d, n, m); ADD_4S(d+1, n+1, m+1); ADD_4S(d+2, n+2, m+2); ADD_4S(d+3, n+3, m+3)
#define UMAX4(d, n, m) UMAX_4S(d, n, m); UMAX_4S(d+1, n+1, m+1); UMAX_4S(d+2, n+2, m+2); UMAX_4S(d+3, n+3, m+3)
#define ORR4(d, n, m) ORR_16B(d, n, m); ORR_16B(d+1, n+1, m+1); ORR_16B(d+2, n+2, m+2); ORR_16B(d+3, n+3, m+3)
#define BIC4(d, n, m) BIC_16B(d, n, m); BIC_16B(d+1, n+1, m+1); BIC_16B(d+2, n+2, m+2); BIC_16B(d+3, n+3, m+3)
#define BIT4(d, n, m) BIT_16B(d, n, m); BIT_16B(d+1, n+1, m+1); BIT_16B(d+2, n+2, m+2); BIT_16B(d+3, n+3, m+3)
#define BIF4(d, n, m) BIF_16B(d, n, m); BIF_16B(d+1, n+1, m+1); BIF_16B(d+2, n+2, m+2); BIF_16B(d+3, n+3, m+3)

#define FADD4C(d, n, c) FADD_4S(d, n, c); FADD_4S(d+1, n+1, c); FADD_4S(d+2, n+2, c); FADD_4S(d+3, n+3, c)
#define FSUB4C(d, n, c) FSUB_4S(d, n, c); FSUB_4S(d+1, n+1, c); FSUB_4S(d+2, n+2, c); FSUB_4S(d+3, n+3, c)
#define FMUL4C(d, n, c) FMUL_4S(d, n, c); FMUL_4S(d+1, n+1, c); FMUL_4S(d+2, n+2, c); FMUL_4S(d+3, n+3, c)
#define SUB4C(d, n, c) SUB_4S(d, n, c); SUB_4S(d+1, n+1, c); SUB_4S(d+2, n+2, c); SUB_4S(d+3, n+3, c)
#define SMAX4C(d, n, c) SMAX_4S(d, n, c); SMAX_4S(d+1, n+1, c); SMAX_4S(d+2, n+2, c); SMAX_4S(d+3, n+3, c)
#define SMIN4C(d, n, c) SMIN_4S(d, n, c); SMIN_4S(d+1, n+1, c); SMIN_4S(d+2, n+2, c); SMIN_4S(d+3, n+3, c)
#define AND4C(d, n, c) AND_16B(d, n, c); AND_16B(d+1, n+1, c); AND_16B(d+2, n+2, c); AND_16B(d+3, n+3, c)
#define ORR4C(d, n, c) ORR_16B(d, n, c); ORR_16B(d+1, n+1, c); ORR_16B(d+2, n+2, c); ORR_16B(d+3, n+3, c)
#define EOR4C(d, n, c) EOR_16B(d, n, c); EOR_16B(d+1, n+1, c); EOR_16B(d+2, n+2, c); EOR_16B(d+3, n+3, c)
#define BIC4C(d, n, c) BIC_16B(d, n, c); BIC_16B(d+1, n+1, c); BIC_16B(d+2, n+2, c); BIC_16B(d+3, n+3, c)
#define BIT4C(d, n, c) BIT_16B(d, n, c); BIT_16B(d+1, n+1, c); BIT_16B(d+2, n+2, c); BIT_16B(d+3, n+3, c)
#define FCMGT4C(d, n, c) FCMGT_4S(d, n, c); FCMGT_4S(d+1, n+1, c); FCMGT_4S(d+2, n+2, c); FCMGT_4S(d+3, n+3, c)
#define FCMGE4C(d, n, c) FCMGE_4S(d, n, c); FCMGE_4S(d+1, n+1, c); FCMGE_4S(d+2, n+2, c); FCMGE_4S(d+3, n+3, c)

#define CFSUB4(d, c, m) FSUB_4S(d, c, m); FSUB_4S(d+1, c, m+1); FSUB_4S(d+2, c, m+2); FSUB_4S(d+3, c, m+3)
#define CFDIV4(d, c, m) FDIV_4S(d, c, m); FDIV_4S(d+1, c, m+1); FDIV_4S(d+2, c, m+2); FDIV_4S(d+3, c, m+3)
#define CFCMGT4(d, c, m) FCMGT_4S(d, c, m); FCMGT_4S(d+1, c, m+1); FCMGT_4S(d+2, c, m+2); FCMGT_4S(d+3, c, m+3)
#define CFCMGE4(d, c, m) FCMGE_4S(d, c, m); FCMGE_4S(d+1, c, m+1); FCMGE_4S(d+2, c, m+2); FCMGE_4S(d+3, c, m+3)

#define FCMLT4(d, n) FCMLT_4S(d, n); FCMLT_4S(d+1, n+1); FCMLT_4S(d+2, n+2); FCMLT_4S(d+3, n+3)
#define SCVTF4(d, n) SCVTF_4S(d, n); SCVTF_4S(d+1, n+1); SCVTF_4S(d+2, n+2); SCVTF_4S(d+3, n+3)
#define SHL4(d, n, i) SHL_4S(d, n, i); SHL_4S(d+1, n+1, i); SHL_4S(d+2, n+2, i); SHL_4S(d+3, n+3, i)
#define MOV4C(d, c) ORR_16B(d, c, c); ORR_16B(d+1, c, c); ORR_16B(d+2, c, c); ORR_16B(d+3, c, c)
#define MOV4(d, n) ORR_16B(d, n, n); ORR_16B(d+1, n+1, n+1); ORR_16B(d+2, n+2, n+2); ORR_16B(d+3, n+3, n+3)

// CONST loads a constant of floats.h, whose address is in R9.
#define CONST(c, f) FMOVQ c(R9), f
