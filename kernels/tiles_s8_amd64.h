// What narrowS8VNNI and wideS8VNNI share: see tileVNNI.

// What both keep in their frames, above the panel and what aligns it.
#define PANEL 16448(SP)      // where the panel begins
#define WAT 16456(SP)        // the blocks from here on
#define BLOCKS 16464(SP)     // how many
#define COLUMN 16472(SP)     // where they lie in rows of 32-bit elements, in bytes
#define OFF1 16480(SP)       // where block 1 lies beside block 0, in bytes; that of the last block if there are fewer
#define OFF2 16488(SP)
#define OFF3 16496(SP)
#define XAT 16488(SP)        // wideS8VNNI: the rows of the panel from here on
#define ROWAT 16496(SP)      // how many rows came before
#define GROUPS 16504(SP)     // how many groups are left
#define GROUPROWS 16512(SP)  // rows of this one
#define LARGER 16520(SP)     // groups left that have one row more than the others
#define FETCHAT 16528(SP)

DATA signs<>+0(SB)/8, $0x0000000080808080
GLOBL signs<>(SB), RODATA|NOPTR, $8

// MAKEPANEL writes x ^ 0x80 into the frame, rows of k bytes one after another (rows without gaps are one long row), at a multiple of
// 64. The ports that multiply also do exclusive ors: here they are made once for all columns.
#define MAKEPANEL \
	MOVQ tileVNNI_x(R15), SI;      \
	MOVQ tileVNNI_xStride(R15), R13;\
	MOVQ tileVNNI_k(R15), BX;      \
	MOVQ tileVNNI_m(R15), DX;      \
	LEAQ 63(SP), AX;               \
	ANDQ $~63, AX;                 \
	MOVQ AX, PANEL;                \
	CMPQ R13, BX;                  \
	JNE  row;                      \
	IMULQ DX, BX;                  \
	MOVQ $1, DX;                   \
row:                            \
	MOVQ SI, R11;                  \
	MOVQ BX, CX;                   \
	SUBQ $256, CX;                 \
	JLT  sixteens;                 \
bytes256:                       \
	VPXORD    (R11), Z31, Z24;     \
	VPXORD    64(R11), Z31, Z25;   \
	VPXORD    128(R11), Z31, Z26;  \
	VPXORD    192(R11), Z31, Z27;  \
	VMOVDQU32 Z24, (AX);           \
	VMOVDQU32 Z25, 64(AX);         \
	VMOVDQU32 Z26, 128(AX);        \
	VMOVDQU32 Z27, 192(AX);        \
	ADDQ      $256, R11;           \
	ADDQ      $256, AX;            \
	SUBQ      $256, CX;            \
	JGE       bytes256;            \
sixteens:                       \
	ADDQ $256, CX;                 \
	JEQ  rowDone;                  \
bytes16:                        \
	VPXORD    (R11), X31, X24;     \
	VMOVDQU32 X24, (AX);           \
	ADDQ      $16, R11;            \
	ADDQ      $16, AX;             \
	SUBQ      $16, CX;             \
	JGT       bytes16;             \
rowDone:                        \
	ADDQ R13, SI;                  \
	DECQ DX;                       \
	JGT  row
