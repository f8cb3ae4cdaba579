package text

import (
	"fmt"
	"math"
	"strings"
)

// check runs the model's self-test on its image. As in the C++ library, the pieces of a unigram model may differ if their
// scores add up to the same. The error shows the first text that comes out otherwise.
func (m *spmModel) check(image []byte, unkScore float32) error {
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
			i, ok := m.reserved.find(piece)
			if !ok {
				i, ok = m.normal.find(piece)
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
	i := -1
	return eachField(m.selfTest, func(f protoField) error {
		if f.number != 4 || f.wire != 2 {
			return nil
		}
		return eachSample(f.bytes, func(sample spmSample) error {
			i++
			got, want := strings.Join(t.EncodePieces(string(sample.input), &sc), " "), string(sample.expected)
			if got == want || t.format == formatUnigram && math.Abs(float64(sum(got)-sum(want))) <= 1e-7 {
				return nil
			}
			return fmt.Errorf("its self-test fails: text %d, %.60q, becomes %.200q, should be %.200q; the file was changed, or needs another reader",
				i, sample.input, got, want)
		})
	})
}
