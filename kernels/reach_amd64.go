package kernels

import (
	"math"

	"github.com/klauspost/cpuid/v2"
)

// markedF32AVX512 is survivorsF32AVX512 for the queries that are marked in each block of sixteen rows.
//
//go:noescape
func markedF32AVX512(place, sum *int32, value *float32, acc *int32, scale, residual, norm, length *float32, n int, b *Bound, m int, marks *uint64) int

// topsF32AVX512 finds the largest magnitude of each; NaN if there is one.
//
//go:noescape
func topsF32AVX512(top *[4]float32, scale, residual, norm, length *float32, n int)

const (
	reachQueries = 64   // as many as a mark has bits
	reachRows    = 2048 // the most that reachVNNI marks
)

// reachVNNI is what the matrix kernel needs to look for sums that may reach a bound: in each lane
//
//	float32(acc)*scale + extent*factor >= least
//
// with the terms of Bound.Value that vary most from row to row; least has the others at their largest, and the rounding of all. What passes
// is looked at again, by Bound.Value itself.
type reachVNNI struct {
	tests         [reachQueries]testVNNI
	marks         [reachRows / 16]uint64
	scale, extent *float32
	square        int
	cross         bool // by Winograd's inner product
	starts        [reachRows]int32
}

// crossing says whether half the multiplications and as many additions of bytes take less time than all multiplications. They do on AMD,
// where four ports add and two multiply. On Intel's processors the same two ports do both.
var crossing = cpuid.CPU.IsVendor(cpuid.AMD)

// testVNNI is that test of one query.
type testVNNI struct{ factor, least float32 }

// reachRowsVNNI is Set.reach.
func reachRowsVNNI(found Reached, acc []int32, x, w []int8, sums []int32, scale, residual, norm, length []float32, b []Bound, small bool) (count int, ok bool) {
	m, n := len(b), len(sums)
	if m <= narrowRows || m > reachQueries || n == 0 || n > reachRows || len(x) == 0 {
		return 0, false
	}
	k := len(x) / m
	acc, x, w = checkGemm(acc, x, w, sums, m, k)
	_, acc, scale, residual, norm, length, _ = survivorRows(found.Place, acc, scale, residual, norm, length, m)
	r := reachVNNI{scale: &scale[0], extent: &length[0], cross: small && crossing}
	if b[0].Norm2 != 0 {
		r.extent, r.square = &norm[0], 1
	}
	var top [4]float32
	topsF32AVX512(&top, &scale[0], &residual[0], &norm[0], &length[0], n)
	for i := range b {
		r.tests[i] = b[i].test(&top, k, r.square == 1)
	}
	multiplyVNNI(acc, x, w, sums, m, k, nil, &r)
	return markedF32AVX512(&found.Place[0], &found.Sum[0], &found.Value[0], &acc[0], &scale[0], &residual[0], &norm[0], &length[0], n, &b[0], m, &r.marks[0]), true
}

// test gives a test that lets every sum over k columns pass whose Value is not below Min, for rows of at most the magnitudes top: scale,
// residual, norm, length. square: norm*norm is the term of its own, else length.
//
// The roundings of Value and of the test are 14, each of at most 2^-24 of all terms together, which is less than a quarter of
// margin; what gets lost below the range of float32 is less than least.
func (b *Bound) test(top *[4]float32, k int, square bool) testVNNI {
	const margin, least = 0x1p-18, 1e-36
	all := testVNNI{0, float32(math.Inf(-1))}
	a, r, n, l := float64(b.Acc), float64(top[1]), float64(top[2]), float64(top[3])
	rest := float64(r*(math.Abs(float64(b.Res))+float64(r*math.Abs(float64(b.Res2))))) + float64(n*math.Abs(float64(b.Norm)))
	factor, extent, other := float64(b.Len), l, n*n*math.Abs(float64(b.Norm2))
	if square {
		factor, extent, other = float64(b.Norm2), n*n, l*math.Abs(float64(b.Len))
	}
	rest += other
	terms := float64(a*float64(top[0])*127*127*float64(k)) + rest + float64(extent*math.Abs(factor))
	if !(a > 0 && terms < 1e36 && extent < 1e36) { // or something is no number
		return all
	}
	if math.IsInf(float64(b.Min), 1) {
		return testVNNI{0, b.Min}
	}
	terms += math.Abs(float64(b.Min))
	inverse := 1 / a
	if !(terms*inverse < 1e36) {
		return all
	}
	factor *= inverse
	lowest := float64((float64(b.Min)-rest-float64(margin*terms)-least)*inverse) - least - float64(extent*0x1p-140) - float64(math.Abs(factor)*0x1p-140)
	return testVNNI{float32(factor), float32(lowest)}
}
