#include "textflag.h"

// What a core can do at most, for bench kernels: multiply-adds from registers alone, and reading alone.

// func peakAVX2(n int)
//
// n times six VPMADDWD with their VPADDD: 96 products in 16 bits, which is what the kernels of this set are made of.
TEXT ·peakAVX2(SB), NOSPLIT, $0-8
	MOVQ  n+0(FP), CX
	VPXOR Y12, Y12, Y12
	VPXOR Y13, Y13, Y13
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
loop:
	VPMADDWD Y12, Y13, Y6
	VPMADDWD Y12, Y13, Y7
	VPMADDWD Y12, Y13, Y8
	VPMADDWD Y12, Y13, Y9
	VPMADDWD Y12, Y13, Y10
	VPMADDWD Y12, Y13, Y11
	VPADDD   Y6, Y0, Y0
	VPADDD   Y7, Y1, Y1
	VPADDD   Y8, Y2, Y2
	VPADDD   Y9, Y3, Y3
	VPADDD   Y10, Y4, Y4
	VPADDD   Y11, Y5, Y5
	DECQ     CX
	JGT      loop
	VZEROUPPER
	RET

// func peakVNNI(n int)
//
// n times sixteen VPDPBUSD: 1024 products.
TEXT ·peakVNNI(SB), NOSPLIT, $0-8
	MOVQ   n+0(FP), CX
	VPXORD Z30, Z30, Z30
	VPXORD Z31, Z31, Z31
loop:
	VPDPBUSD Z30, Z31, Z0
	VPDPBUSD Z30, Z31, Z1
	VPDPBUSD Z30, Z31, Z2
	VPDPBUSD Z30, Z31, Z3
	VPDPBUSD Z30, Z31, Z4
	VPDPBUSD Z30, Z31, Z5
	VPDPBUSD Z30, Z31, Z6
	VPDPBUSD Z30, Z31, Z7
	VPDPBUSD Z30, Z31, Z8
	VPDPBUSD Z30, Z31, Z9
	VPDPBUSD Z30, Z31, Z10
	VPDPBUSD Z30, Z31, Z11
	VPDPBUSD Z30, Z31, Z12
	VPDPBUSD Z30, Z31, Z13
	VPDPBUSD Z30, Z31, Z14
	VPDPBUSD Z30, Z31, Z15
	DECQ     CX
	JGT      loop
	VZEROUPPER
	RET

// func readAVX2(p *int8, n int)
//
// Reads n bytes in order, a multiple of 256 above 0. What lies far is asked for ahead: four lines of it at a time.
TEXT ·readAVX2(SB), NOSPLIT, $0-16
	MOVQ  p+0(FP), SI
	MOVQ  n+8(FP), CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	CMPQ   CX, $(4<<20)
	JGE    far
loop:
	VPADDD (SI), Y0, Y0
	VPADDD 32(SI), Y1, Y1
	VPADDD 64(SI), Y0, Y0
	VPADDD 96(SI), Y1, Y1
	VPADDD 128(SI), Y0, Y0
	VPADDD 160(SI), Y1, Y1
	VPADDD 192(SI), Y0, Y0
	VPADDD 224(SI), Y1, Y1
	ADDQ   $256, SI
	SUBQ   $256, CX
	JGT    loop
	VZEROUPPER
	RET
far:
	VPADDD (SI), Y0, Y0
	VPADDD 32(SI), Y1, Y1
	VPADDD 64(SI), Y0, Y0
	VPADDD 96(SI), Y1, Y1
	VPADDD 128(SI), Y0, Y0
	VPADDD 160(SI), Y1, Y1
	VPADDD 192(SI), Y0, Y0
	VPADDD 224(SI), Y1, Y1
	PREFETCHT0 2048(SI)
	PREFETCHT0 2112(SI)
	PREFETCHT0 2176(SI)
	PREFETCHT0 2240(SI)
	ADDQ   $256, SI
	SUBQ   $256, CX
	JGT    far
	VZEROUPPER
	RET

// func readAVX512(p *int8, n int)
//
// Reads n bytes in order, a multiple of 256 above 0. What lies far is asked for ahead: four lines of it at a time.
TEXT ·readAVX512(SB), NOSPLIT, $0-16
	MOVQ   p+0(FP), SI
	MOVQ   n+8(FP), CX
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	CMPQ   CX, $(4<<20)
	JGE    far
loop:
	VPADDD (SI), Z0, Z0
	VPADDD 64(SI), Z1, Z1
	VPADDD 128(SI), Z2, Z2
	VPADDD 192(SI), Z3, Z3
	ADDQ   $256, SI
	SUBQ   $256, CX
	JGT    loop
	VZEROUPPER
	RET
far:
	VPADDD (SI), Z0, Z0
	VPADDD 64(SI), Z1, Z1
	VPADDD 128(SI), Z2, Z2
	VPADDD 192(SI), Z3, Z3
	PREFETCHT0 2048(SI)
	PREFETCHT0 2112(SI)
	PREFETCHT0 2176(SI)
	PREFETCHT0 2240(SI)
	ADDQ   $256, SI
	SUBQ   $256, CX
	JGT    far
	VZEROUPPER
	RET
