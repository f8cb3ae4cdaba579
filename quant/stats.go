package quant

import (
	"fmt"
	"math"
)

// Stats gathers what quantization costs, over any number of Adds. The zero value is ready.
type Stats struct {
	n                            int
	max                          float64
	err2, want2, got2, wantTimes float64 // Σ(w-d)², Σw², Σd², Σw*d in float64: rounded one by one, so that a report is the same on every machine
}

// Add takes the original weights and what their int8 stand for. The lengths must agree.
func (s *Stats) Add(original, dequantized []float32) {
	if len(original) != len(dequantized) {
		panic(fmt.Sprintf("quant: figures over %d and %d weights", len(original), len(dequantized)))
	}
	for i, v := range original {
		w, d := float64(v), float64(dequantized[i])
		e := w - d
		s.max = math.Max(s.max, math.Abs(e))
		s.err2 += float64(e * e)
		s.want2 += float64(w * w)
		s.got2 += float64(d * d)
		s.wantTimes += float64(w * d)
	}
	s.n += len(original)
}

// Merge adds what other gathered.
func (s *Stats) Merge(other *Stats) {
	s.n += other.n
	s.max = math.Max(s.max, other.max)
	s.err2 += other.err2
	s.want2 += other.want2
	s.got2 += other.got2
	s.wantTimes += other.wantTimes
}

// Count returns the number of weights seen.
func (s *Stats) Count() int { return s.n }

// Max returns the largest absolute error.
func (s *Stats) Max() float64 { return s.max }

// RMS returns the root of the mean square error.
func (s *Stats) RMS() float64 {
	if s.n == 0 {
		return 0
	}
	return math.Sqrt(s.err2 / float64(s.n))
}

// SNR returns the ratio of the weights' energy to the error's, in dB: +Inf without error. Int8 of normally distributed
// rows gives about 40.
func (s *Stats) SNR() float64 {
	if s.err2 == 0 {
		return math.Inf(1)
	}
	return 10 * math.Log10(s.want2/s.err2)
}

// Cosine returns the cosine of the angle between the weights and what stands for them; 1 if both are zero.
func (s *Stats) Cosine() float64 {
	if s.want2 == 0 && s.got2 == 0 {
		return 1
	}
	if s.want2 == 0 || s.got2 == 0 {
		return 0
	}
	return s.wantTimes / math.Sqrt(s.want2*s.got2)
}
