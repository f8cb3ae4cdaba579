// Instructions that Go's assembler lacks, as words. Arguments are register numbers, in the order of Arm's manual
// (destination first, unlike Go's). testdata/neon_words.txt holds for each macro a word and its disassembly: a plain test
// compares the words, check_words.sh the disassembly.

// Int8: products of eight bytes into int16, lower (or upper, 2) half of the sources; pairs of int16 added to int32.
#define SMULL_8H(d, n, m)   WORD $(0x0e20c000 | (m)<<16 | (n)<<5 | (d))
#define SMULL2_8H(d, n, m)  WORD $(0x4e20c000 | (m)<<16 | (n)<<5 | (d))
#define SMLAL_8H(d, n, m)   WORD $(0x0e208000 | (m)<<16 | (n)<<5 | (d))
#define SMLAL2_8H(d, n, m)  WORD $(0x4e208000 | (m)<<16 | (n)<<5 | (d))
#define SADALP_4S(d, n)     WORD $(0x4e606800 | (n)<<5 | (d))

// Dot product of each four bytes with four bytes of element i of m (FEAT_DotProd).
#define SDOT_4S(d, n, m, i) WORD $(0x4f80e000 | ((i)&1)<<21 | ((i)>>1)<<11 | (m)<<16 | (n)<<5 | (d))
