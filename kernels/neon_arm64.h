// Made by make_words.go of testdata/neon_macros.txt: do not edit.
// Instructions that Go's assembler lacks, as words. Arguments are register numbers, in the order of Arm's manual
// (destination first, unlike Go's). testdata/neon_words.txt holds for each macro a word and its disassembly: a plain test
// compares the words, check_words.sh the disassembly.

// Int8: products of eight bytes into int16, lower (or upper, 2) half of the sources; pairs of int16 added to int32.
#define SMULL_8H(d, n, m)   WORD $(0x0e20c000 | (m)<<16 | (n)<<5 | (d))
#define SMULL2_8H(d, n, m)  WORD $(0x4e20c000 | (m)<<16 | (n)<<5 | (d))
#define SMLAL_8H(d, n, m)   WORD $(0x0e208000 | (m)<<16 | (n)<<5 | (d))
#define SMLAL2_8H(d, n, m)  WORD $(0x4e208000 | (m)<<16 | (n)<<5 | (d))
#define SADALP_4S(d, n)     WORD $(0x4e606800 | (n)<<5 | (d))

// Dot product of each four bytes with four bytes of element i of m, or with the four of the same element (FEAT_DotProd).
#define SDOT_4S(d, n, m, i) WORD $(0x4f80e000 | ((i)&1)<<21 | ((i)>>1)<<11 | (m)<<16 | (n)<<5 | (d))
#define SDOT_16B(d, n, m)   WORD $(0x4e809400 | (m)<<16 | (n)<<5 | (d))

// Products of two rows of eight bytes in n with two rows in m: four sums, row by row of n (FEAT_I8MM).
#define SMMLA_4S(d, n, m)   WORD $(0x4e80a400 | (m)<<16 | (n)<<5 | (d))

// Differences: of bytes, signed, without their sign; sums of pairs of bytes added to int16, of int16 added to int32; largest
// bytes, of pairs too; dot products of four unsigned bytes (FEAT_DotProd).
#define SABD_16B(d, n, m)   WORD $(0x4e207400 | (m)<<16 | (n)<<5 | (d))
#define UADALP_8H(d, n)     WORD $(0x6e206800 | (n)<<5 | (d))
#define UADALP_4S(d, n)     WORD $(0x6e606800 | (n)<<5 | (d))
#define UMAX_16B(d, n, m)   WORD $(0x6e206400 | (m)<<16 | (n)<<5 | (d))
#define UMAXP_16B(d, n, m)  WORD $(0x6e20a400 | (m)<<16 | (n)<<5 | (d))
#define UDOT_4S(d, n, m)    WORD $(0x6e809400 | (m)<<16 | (n)<<5 | (d))

// Floats, four to a register. Products and sums are apart: there is no FMLA here, on purpose.
#define FADD_4S(d, n, m)    WORD $(0x4e20d400 | (m)<<16 | (n)<<5 | (d))
#define FSUB_4S(d, n, m)    WORD $(0x4ea0d400 | (m)<<16 | (n)<<5 | (d))
#define FMUL_4S(d, n, m)    WORD $(0x6e20dc00 | (m)<<16 | (n)<<5 | (d))
#define FDIV_4S(d, n, m)    WORD $(0x6e20fc00 | (m)<<16 | (n)<<5 | (d))
#define FCMGT_4S(d, n, m)   WORD $(0x6ea0e400 | (m)<<16 | (n)<<5 | (d))
#define FCMGE_4S(d, n, m)   WORD $(0x6e20e400 | (m)<<16 | (n)<<5 | (d))
#define FCMLT_4S(d, n)      WORD $(0x4ea0e800 | (n)<<5 | (d))
#define SCVTF_4S(d, n)      WORD $(0x4e21d800 | (n)<<5 | (d))

// The upper four bits of each int16's lower byte and the lower four of its upper one: of bytes 0 or 255, half a byte each.
#define SHRN_8B(d, n)       WORD $(0x0f0c8400 | (n)<<5 | (d))

// Float64, two to a register: of the lower (or upper, 2) half of four float32; FABD is a difference without its sign.
#define FCVTL_2D(d, n)      WORD $(0x0e617800 | (n)<<5 | (d))
#define FCVTL2_2D(d, n)     WORD $(0x4e617800 | (n)<<5 | (d))
#define FADD_2D(d, n, m)    WORD $(0x4e60d400 | (m)<<16 | (n)<<5 | (d))
#define FSUB_2D(d, n, m)    WORD $(0x4ee0d400 | (m)<<16 | (n)<<5 | (d))
#define FMUL_2D(d, n, m)    WORD $(0x6e60dc00 | (m)<<16 | (n)<<5 | (d))
#define FABD_2D(d, n, m)    WORD $(0x6ee0d400 | (m)<<16 | (n)<<5 | (d))

// Integers and bits. Go has some of these, but by register name; the macros that work on four registers count them.
#define ADD_4S(d, n, m)     WORD $(0x4ea08400 | (m)<<16 | (n)<<5 | (d))
#define SUB_4S(d, n, m)     WORD $(0x6ea08400 | (m)<<16 | (n)<<5 | (d))
#define UMAX_4S(d, n, m)    WORD $(0x6ea06400 | (m)<<16 | (n)<<5 | (d))
#define SMAX_4S(d, n, m)    WORD $(0x4ea06400 | (m)<<16 | (n)<<5 | (d))
#define SMIN_4S(d, n, m)    WORD $(0x4ea06c00 | (m)<<16 | (n)<<5 | (d))
#define SHL_4S(d, n, i)     WORD $(0x4f205400 | (i)<<16 | (n)<<5 | (d))
#define AND_16B(d, n, m)    WORD $(0x4e201c00 | (m)<<16 | (n)<<5 | (d))
#define ORR_16B(d, n, m)    WORD $(0x4ea01c00 | (m)<<16 | (n)<<5 | (d))
#define EOR_16B(d, n, m)    WORD $(0x6e201c00 | (m)<<16 | (n)<<5 | (d))
#define BIC_16B(d, n, m)    WORD $(0x4e601c00 | (m)<<16 | (n)<<5 | (d))
#define BIT_16B(d, n, m)    WORD $(0x6ea01c00 | (m)<<16 | (n)<<5 | (d))
#define BIF_16B(d, n, m)    WORD $(0x6ee01c00 | (m)<<16 | (n)<<5 | (d))
