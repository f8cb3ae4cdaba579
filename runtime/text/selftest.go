package text

import (
	"fmt"
	"math"
	"strings"
)

// check runs the model's self-test on its image. As in the C++ library, the pieces of a unigram model may differ if their
// scores add up to the same. The error shows the first text that comes out otherwise.
func (m *spmModel) check(image []byte, reserved, normal map[string]int, unkScore float32) error {
	if len(m.selfTest) == 0 {
		return nil
	}
	t, err := Open(image)
	if err != nil {
		return err
	}
	// The sum that unigram_model.cc, VerifyOutputsEquivalent, makes.
	highest := float32(-math.MaxFloat32)
	for _, p := range m.pieces {
		if p.kind == pieceNormal {
			highest = max(highest, p.score)
		}
	}
	sum := func(pieces string) (sum float32) {
		for _, piece := range strings.Split(pieces, " ") {
			i, ok := reserved[piece]
			if !ok {
				i, ok = normal[piece]
			}
			switch {
			case !ok || m.pieces[i].kind == pieceUnknown:
				sum += unkScore
			case m.pieces[i].kind == pieceUserDefined:
				sum += float32(float64(float32(len(piece))*highest) - 0.1)
			default:
				sum += m.pieces[i].score
			}
		}
		return sum
	}
	var sc Scratch
	for i, sample := range m.selfTest {
		got := strings.Join(t.EncodePieces(sample.input, &sc), " ")
		if got == sample.expected || t.format == formatUnigram && math.Abs(float64(sum(got)-sum(sample.expected))) <= 1e-7 {
			continue
		}
		return fmt.Errorf("its self-test fails: text %d, %.60q, becomes %.200q, should be %.200q; the file was changed, or needs another reader",
			i, sample.input, got, sample.expected)
	}
	return nil
}
