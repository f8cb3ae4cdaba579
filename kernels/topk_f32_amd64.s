#include "textflag.h"
#include "floats.h"

// What TopK is made of where a list of up to sixteen is sought. AVX2, sixteen elements in two registers.

DATA lanes16<>+0(SB)/8, $0x0000000100000000
DATA lanes16<>+8(SB)/8, $0x0000000300000002
DATA lanes16<>+16(SB)/8, $0x0000000500000004
DATA lanes16<>+24(SB)/8, $0x0000000700000006
DATA lanes16<>+32(SB)/8, $0x0000000900000008
DATA lanes16<>+40(SB)/8, $0x0000000b0000000a
DATA lanes16<>+48(SB)/8, $0x0000000d0000000c
DATA lanes16<>+56(SB)/8, $0x0000000f0000000e
DATA lanes16<>+64(SB)/4, $0x00000001
GLOBL lanes16<>(SB), RODATA|NOPTR, $68

// func vecLaneMax(lanes *[16]float32, x *float32, n int)
//
// lanes[l] = the largest x[i] with i%16 == l, NaN left out: each step is x > max ? x : max. Four chains of two registers.
TEXT ·vecLaneMax(SB), NOSPLIT, $0-24
	MOVQ         lanes+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         n+16(FP), CX
	VBROADCASTSS floats<>+C_INF(SB), Y0
	VBROADCASTSS floats<>+C_SIGN(SB), Y1
	VXORPS       Y1, Y0, Y0
	VMOVAPS      Y0, Y1
	VMOVAPS      Y0, Y2
	VMOVAPS      Y0, Y3
	VMOVAPS      Y0, Y4
	VMOVAPS      Y0, Y5
	VMOVAPS      Y0, Y6
	VMOVAPS      Y0, Y7
	SUBQ         $64, CX
	JLT          few
loop:
	VMOVUPS (SI), Y8
	VMOVUPS 32(SI), Y9
	VMOVUPS 64(SI), Y10
	VMOVUPS 96(SI), Y11
	VMOVUPS 128(SI), Y12
	VMOVUPS 160(SI), Y13
	VMOVUPS 192(SI), Y14
	VMOVUPS 224(SI), Y15
	VMAXPS  Y0, Y8, Y0
	VMAXPS  Y1, Y9, Y1
	VMAXPS  Y2, Y10, Y2
	VMAXPS  Y3, Y11, Y3
	VMAXPS  Y4, Y12, Y4
	VMAXPS  Y5, Y13, Y5
	VMAXPS  Y6, Y14, Y6
	VMAXPS  Y7, Y15, Y7
	ADDQ    $256, SI
	SUBQ    $64, CX
	JGE     loop
few:
	ADDQ    $64, CX
	JEQ     fold
sixteen:
	VMOVUPS (SI), Y8
	VMOVUPS 32(SI), Y9
	VMAXPS  Y0, Y8, Y0
	VMAXPS  Y1, Y9, Y1
	ADDQ    $64, SI
	SUBQ    $16, CX
	JGT     sixteen
fold:
	VMAXPS  Y2, Y0, Y0
	VMAXPS  Y3, Y1, Y1
	VMAXPS  Y6, Y4, Y4
	VMAXPS  Y7, Y5, Y5
	VMAXPS  Y4, Y0, Y0
	VMAXPS  Y5, Y1, Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VZEROUPPER
	RET

// func vecRank(rank *[16]int32, v *[16]float32)
//
// rank[i] = how many j have v[j] > v[i], or v[j] == v[i] and j < i.
#define COUNT(v, lane, rank) \
	VCMPPS   $1, Y6, v, Y8;    \ // v[i] < v[j]
	VCMPPS   $0, Y6, v, Y9;    \ // v[i] == v[j]
	VPCMPGTD Y5, lane, Y10;    \ // i > j
	VPAND    Y10, Y9, Y9;      \
	VPOR     Y9, Y8, Y8;       \
	VPSUBD   Y8, rank, rank

TEXT ·vecRank(SB), NOSPLIT, $0-16
	MOVQ         rank+0(FP), DI
	MOVQ         v+8(FP), SI
	VMOVUPS      (SI), Y0
	VMOVUPS      32(SI), Y1
	VMOVDQU      lanes16<>+0(SB), Y2
	VMOVDQU      lanes16<>+32(SB), Y3
	VPBROADCASTD lanes16<>+64(SB), Y4
	VPXOR        Y5, Y5, Y5
	VPXOR        Y11, Y11, Y11
	VPXOR        Y12, Y12, Y12
	MOVQ         $16, CX
loop:
	VBROADCASTSS (SI), Y6
	COUNT(Y0, Y2, Y11)
	COUNT(Y1, Y3, Y12)
	VPADDD       Y4, Y5, Y5 // j++
	ADDQ         $4, SI
	DECQ         CX
	JGT          loop
	VMOVDQU      Y11, (DI)
	VMOVDQU      Y12, 32(DI)
	VZEROUPPER
	RET

// func vecSelect(idx *int32, x *float32, n int, least float32, room int) (found, at int)
//
// The indices of elements that are at least least, in order, until fewer than sixteen places are left: at is where it stopped.
TEXT ·vecSelect(SB), NOSPLIT, $0-56
	MOVQ         idx+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         n+16(FP), CX
	VBROADCASTSS least+24(FP), Y15
	MOVQ         room+32(FP), R8
	SUBQ         $16, R8
	XORQ         AX, AX
	XORQ         BX, BX
loop:
	VCMPPS    $2, (SI)(AX*4), Y15, Y0 // least <= x
	VCMPPS    $2, 32(SI)(AX*4), Y15, Y1
	VMOVMSKPS Y0, DX
	VMOVMSKPS Y1, R9
	SHLL      $8, R9
	ORL       R9, DX
	JNE       some
next:
	ADDQ $16, AX
	CMPQ AX, CX
	JLT  loop
done:
	MOVQ BX, found+40(FP)
	MOVQ AX, at+48(FP)
	VZEROUPPER
	RET
some:
	CMPQ BX, R8
	JGT  done
bit:
	BSFL DX, R9
	ADDL AX, R9
	MOVL R9, (DI)(BX*4)
	INCQ BX
	LEAL -1(DX), R9
	ANDL R9, DX
	JNE  bit
	JMP  next
