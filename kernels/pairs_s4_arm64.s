#include "textflag.h"
#include "neon_arm64.h"

// Rows of pairs of int4 on arm64: see generic_pairs.go. A shift of halfwords by four unpacks the second column of each byte. A byte and
// what its shift leaves are at most 127 and 128: their products with x fit int16 together.

#define ZERO4(a, b, c, d) \
	VEOR a.B16, a.B16, a.B16; \
	VEOR b.B16, b.B16, b.B16; \
	VEOR c.B16, c.B16, c.B16; \
	VEOR d.B16, d.B16, d.B16

#define PAIRARGS \
	MOVD acc+0(FP), R0; \
	MOVD x+8(FP), R1;   \
	MOVD w+16(FP), R4;  \
	MOVD n+24(FP), R6;  \
	MOVD h+32(FP), R7

#define LISTARGS \
	MOVD acc+0(FP), R0;   \
	MOVD x+8(FP), R1;     \
	MOVD w+16(FP), R10;   \
	MOVD rows+24(FP), R8; \
	MOVD n+32(FP), R6;    \
	MOVD h+40(FP), R7;    \
	ADD  R6<<2, R8, R9;   \
	SUB  $4, R9

// Four bytes of sixteen rows, in V0-V3, by x of their upper columns in xu and of their lower ones in xl. Products in V24-V31, two partial
// sums a row in V16-V23. Load comes when V0-V3 are done with.
#define UNPACK \
	VSHL $4, V0.H8, V4.H8; \
	VSHL $4, V1.H8, V5.H8; \
	VSHL $4, V2.H8, V6.H8; \
	VSHL $4, V3.H8, V7.H8

#define LOAD(o) \
	FLDPQ (o)(R4), (F0, F1); \
	FLDPQ (o+32)(R4), (F2, F3)

#define NOLOAD(o)

#define UPPER(xu) \
	SMULL_8H(24, 0, xu);  \
	SMULL2_8H(25, 0, xu); \
	SMULL_8H(26, 1, xu);  \
	SMULL2_8H(27, 1, xu); \
	SMULL_8H(28, 2, xu);  \
	SMULL2_8H(29, 2, xu); \
	SMULL_8H(30, 3, xu);  \
	SMULL2_8H(31, 3, xu)

#define LOWER(xl) \
	SMLAL_8H(24, 4, xl);  \
	SMLAL2_8H(25, 4, xl); \
	SMLAL_8H(26, 5, xl);  \
	SMLAL2_8H(27, 5, xl); \
	SMLAL_8H(28, 6, xl);  \
	SMLAL2_8H(29, 6, xl); \
	SMLAL_8H(30, 7, xl);  \
	SMLAL2_8H(31, 7, xl)

#define SUM \
	SADALP_4S(16, 24); \
	SADALP_4S(17, 25); \
	SADALP_4S(18, 26); \
	SADALP_4S(19, 27); \
	SADALP_4S(20, 28); \
	SADALP_4S(21, 29); \
	SADALP_4S(22, 30); \
	SADALP_4S(23, 31)

#define FOUR(xu, xl, load, o) \
	UNPACK;    \
	UPPER(xu); \
	load(o);   \
	LOWER(xl); \
	SUM

// func gemvS4NEON(acc *int32, x *int8, w *int8, n int, h int)
TEXT ·gemvS4NEON(SB), NOSPLIT, $0-40
	PAIRARGS
block:
	MOVD R1, R2
	ADD  R7, R1, R3
	MOVD R7, R5
	ZERO4(V16, V17, V18, V19)
	ZERO4(V20, V21, V22, V23)
loop: // sixteen bytes a row
	VLD4R.P 16(R2), [V8.S4, V9.S4, V10.S4, V11.S4]
	LOAD(0)
	VLD4R.P 16(R3), [V12.S4, V13.S4, V14.S4, V15.S4]
	PRFM    1024(R4), PLDL1STRM
	PRFM    1088(R4), PLDL1STRM
	PRFM    1152(R4), PLDL1STRM
	PRFM    1216(R4), PLDL1STRM
	FOUR(8, 12, LOAD, 64)
	FOUR(9, 13, LOAD, 128)
	FOUR(10, 14, LOAD, 192)
	FOUR(11, 15, NOLOAD, 0)
	SUBS    $16, R5
	ADD     $256, R4
	BGT     loop
	VADDP   V17.S4, V16.S4, V16.S4
	VADDP   V19.S4, V18.S4, V17.S4
	VADDP   V21.S4, V20.S4, V18.S4
	VADDP   V23.S4, V22.S4, V19.S4
	VST1.P  [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	SUBS    $16, R6
	BGT     block
	RET

// DOT is FOUR for dotprod, with x of sixteen bytes in V8 and V9, element i.
#define QUAD VLD1.P 64(R4), [V0.B16, V1.B16, V2.B16, V3.B16]
#define NOQUAD

#define DOT(i, load) \
	UNPACK;               \
	SDOT_4S(16, 0, 8, i); \
	SDOT_4S(17, 1, 8, i); \
	SDOT_4S(18, 2, 8, i); \
	SDOT_4S(19, 3, 8, i); \
	load;                 \
	SDOT_4S(20, 4, 9, i); \
	SDOT_4S(21, 5, 9, i); \
	SDOT_4S(22, 6, 9, i); \
	SDOT_4S(23, 7, 9, i)

// func gemvS4DOT(acc *int32, x *int8, w *int8, n int, h int)
TEXT ·gemvS4DOT(SB), NOSPLIT, $0-40
	PAIRARGS
block:
	MOVD R1, R2
	ADD  R7, R1, R3
	MOVD R7, R5
	ZERO4(V16, V17, V18, V19)
	ZERO4(V20, V21, V22, V23)
loop: // sixteen bytes a row
	FMOVQ.P 16(R2), F8
	QUAD
	FMOVQ.P 16(R3), F9
	PRFM    4096(R4), PLDL1STRM
	DOT(0, QUAD)
	DOT(1, QUAD)
	DOT(2, QUAD)
	DOT(3, NOQUAD)
	SUBS    $16, R5
	BGT     loop
	VADD    V20.S4, V16.S4, V16.S4
	VADD    V21.S4, V17.S4, V17.S4
	VADD    V22.S4, V18.S4, V18.S4
	VADD    V23.S4, V19.S4, V19.S4
	VST1.P  [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	SUBS    $16, R6
	BGT     block
	RET

// ROW: R4 the row of the list at R8, R2 and R3 its x. The row four places on, or the last, is fetched meanwhile. R9: the last place.
#define ROW(fetch) \
	MOVW (R8), R4;           \
	MADD R4, R10, R7, R4;    \
	ADD  $16, R8, R11;       \
	CMP  R9, R11;            \
	CSEL GT, R9, R11, R11;   \
	MOVW (R11), R11;         \
	MADD R11, R10, R7, R11;  \
	MOVD R7, R5;             \
fetch:                       \
	PRFM (R11), PLDL1STRM;   \
	ADD  $64, R11;           \
	SUBS $64, R5;            \
	BGT  fetch;              \
	MOVD R1, R2;             \
	ADD  R7, R1, R3;         \
	MOVD R7, R5;             \
	VEOR V16.B16, V16.B16, V16.B16; \
	VEOR V17.B16, V17.B16, V17.B16

// ROWEND stores the sum of a row and goes on while there are more.
#define ROWEND(row) \
	VADD   V17.S4, V16.S4, V16.S4; \
	VADDV  V16.S4, V16;            \
	FMOVS  F16, (R0);              \
	ADD    $4, R0;                 \
	ADD    $4, R8;                 \
	SUBS   $1, R6;                 \
	BGT    row

// func rowsS4NEON(acc *int32, x *int8, w *int8, rows *int32, n int, h int)
TEXT ·rowsS4NEON(SB), NOSPLIT, $0-48
	LISTARGS
row:
	ROW(fetch)
loop:
	FMOVQ.P 16(R4), F0
	FMOVQ.P 16(R2), F8
	FMOVQ.P 16(R3), F9
	VSHL    $4, V0.H8, V1.H8
	SMULL_8H(24, 0, 8)
	SMULL2_8H(25, 0, 8)
	SMLAL_8H(24, 1, 9)
	SMLAL2_8H(25, 1, 9)
	SADALP_4S(16, 24)
	SADALP_4S(17, 25)
	SUBS    $16, R5
	BGT     loop
	ROWEND(row)
	RET

// func rowsS4DOT(acc *int32, x *int8, w *int8, rows *int32, n int, h int)
TEXT ·rowsS4DOT(SB), NOSPLIT, $0-48
	LISTARGS
row:
	ROW(fetch)
loop:
	FMOVQ.P 16(R4), F0
	FMOVQ.P 16(R2), F8
	FMOVQ.P 16(R3), F9
	VSHL    $4, V0.H8, V1.H8
	SDOT_16B(16, 0, 8)
	SDOT_16B(17, 1, 9)
	SUBS    $16, R5
	BGT     loop
	ROWEND(row)
	RET
