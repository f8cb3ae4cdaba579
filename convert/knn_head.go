package convert

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"github.com/edge-infer/edge-infer/runtime"
)

// Where fewer bytes than those of all int8 may pay, and what it may cost to find out.
const (
	headRows    = 1000 // fewer rows are scanned in no time
	headMinCols = 48
	headMaxCols = 2048 // the covariance takes cols² numbers
	headSample  = 4000 // rows that the axes are found with
	headTry     = 2000 // rows whose bounds are computed
	headQueries = 24   // rows asked of all others
	headRounds  = 8    // of the subspace iteration
)

// headSizes are the numbers of axes that are tried: with the tail they fill multiples of 16 columns.
var headSizes = []int{15, 31, 47, 63, 95, 127, 191, 255}

// findFirst chooses what a scan reads first, by the bytes that held-back rows would read as queries: the int8 rows, reduced to
// so many of the leading principal axes, or pairs of int4. It is the int8 rows as they are where that saves less than a fifth.
func (k *knnRows) findFirst(ctx context.Context, cfg *runtime.KNNConfig, force int) error {
	n, d := cfg.Rows, cfg.Cols
	if force == 0 && (n < headRows || d < headMinCols) {
		return nil
	}
	r := rand.New(rand.NewPCG(3, 4))
	centred := func(i int) ([]float64, error) {
		row, err := k.read(i)
		if err != nil {
			return nil, err
		}
		v := make([]float64, d)
		for j := range v {
			v[j] = (row[j] - k.center[j]) / k.unit
		}
		return v, ctx.Err()
	}
	pick := func(count int) ([][]float64, []int, error) {
		at := r.Perm(n)[:min(count, n)]
		slices.Sort(at)
		rows := make([][]float64, len(at))
		for i := range at {
			var err error
			if rows[i], err = centred(at[i]); err != nil {
				return nil, nil, err
			}
		}
		return rows, at, nil
	}
	sample, _, err := pick(headSample)
	if err != nil {
		return err
	}
	most := headSizes[0]
	for _, s := range headSizes {
		if s < d*3/4 {
			most = s
		}
	}
	if force > 0 {
		most = force
	}
	var axes [][]float64
	if d <= headMaxCols || force > 0 {
		if axes, err = principalAxes(ctx, r, sample, most); err != nil {
			return err
		}
	}
	best := min(force, len(axes))
	if force == 0 {
		if best, err = k.chooseFirst(ctx, cfg, axes, sample, pick); err != nil {
			return err
		}
	}
	if best == 0 {
		return nil
	}
	k.axes = axes[:best]
	for _, a := range k.axes {
		k.flat = append(k.flat, a...)
	}
	k.reduced = make([]float64, best+1)
	// The tails are centred too.
	for _, v := range sample {
		runtime.ReduceKNN(k.reduced, v, k.flat, d)
		k.tail += k.reduced[best] / float64(len(sample))
	}
	return nil
}

// chooseFirst tries how many bytes a query reads with each size of head and with pairs, which it notes; 0: no head.
func (k *knnRows) chooseFirst(ctx context.Context, cfg *runtime.KNNConfig, axes, sample [][]float64, pick func(int) ([][]float64, []int, error)) (int, error) {
	n, d := cfg.Rows, cfg.Cols
	queries, at, err := pick(headQueries)
	if err != nil {
		return 0, err
	}
	limits, err := k.kthDistances(ctx, queries, at, min(max(cfg.K, 10), n-1))
	if err != nil {
		return 0, err
	}
	// A byte of a ranked row counts threefold: it is read out of order, and computed with in float64.
	rowBytes := float64(3 * k.dtype.Size() * ((d + 15) &^ 15))
	whole := float64(n * ((d+15)&^15 + 20))
	best, bestBytes := 0, 0.8*(whole+float64(rowBytes*float64(n)*share(sample, queries, limits, nil)))
	for _, size := range headSizes {
		if size > len(axes) {
			break
		}
		bytes := float64(n*(size+1+20)) + float64(rowBytes*float64(n)*share(sample, queries, limits, axes[:size]))
		if bytes < bestBytes {
			best, bestBytes = size, bytes
		}
	}
	// Rows of which more bits are read are read out of order too.
	h := runtime.PairBytes(d)
	coarse, fine := pairShares(sample, queries, limits)
	if bytes := float64(n) * (float64(h+12) + float64(2*float64(h+8)*coarse) + float64(rowBytes*fine)); bytes < bestBytes {
		best, k.pairs = 0, true
	}
	return best, ctx.Err()
}

// kthDistances are the euclidean distances of the queries, rows of the source, to their k-th nearest, in units.
func (k *knnRows) kthDistances(ctx context.Context, queries [][]float64, at []int, neighbours int) ([]float64, error) {
	all := make([][]float64, len(queries))
	for i := range k.src.Rows {
		row, err := k.read(i)
		if err != nil {
			return nil, err
		}
		for j, v := range row {
			k.y[j] = (v - k.center[j]) / k.unit
		}
		for q, x := range queries {
			if at[q] == i {
				continue
			}
			s := 0.0
			for j, v := range k.y {
				s += float64((v - x[j]) * (v - x[j]))
			}
			all[q] = append(all[q], math.Sqrt(s))
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	limits := make([]float64, len(queries))
	for q := range all {
		sortFloats(all[q])
		limits[q] = all[q][neighbours-1]
	}
	return limits, nil
}

// share estimates which part of the rows the bound of these axes leaves to rank; nil: of all columns.
func share(sample, queries [][]float64, limits []float64, axes [][]float64) float64 {
	reduce := func(rows [][]float64) (vectors [][]float64, errors []float64) {
		var flat []float64
		for _, a := range axes {
			flat = append(flat, a...)
		}
		for _, v := range rows {
			if axes != nil {
				r := make([]float64, len(axes)+1)
				runtime.ReduceKNN(r, v, flat, len(v))
				v = r
			}
			top, residual := 0.0, 0.0
			for _, x := range v {
				top = max(top, math.Abs(x))
			}
			for _, x := range v {
				if top > 0 {
					e := x - math.RoundToEven(x/top*127)*top/127
					residual += float64(e * e)
				}
			}
			vectors, errors = append(vectors, v), append(errors, math.Sqrt(residual))
		}
		return vectors, errors
	}
	rows, rowErrors := reduce(sample[:min(len(sample), headTry)])
	asked, errors := reduce(queries)
	left := 0
	for q, x := range asked {
		for i, v := range rows {
			s := 0.0
			for j := range x {
				s += float64((x[j] - v[j]) * (x[j] - v[j]))
			}
			if math.Sqrt(s) <= limits[q]+errors[q]+rowErrors[i] {
				left++
			}
		}
	}
	return float64(left) / float64(len(asked)*len(rows))
}

// principalAxes finds the leading axes of some centred rows by subspace iteration on their covariance. They are orthonormal to
// rounding; how near they come to the principal ones decides what a head saves, not whether it is exact. nil: the rows have fewer.
func principalAxes(ctx context.Context, r *rand.Rand, rows [][]float64, count int) ([][]float64, error) {
	d := len(rows[0])
	cov := make([][]float64, d)
	for j := range cov {
		cov[j] = make([]float64, d)
	}
	for _, v := range rows {
		for j, x := range v {
			if x == 0 {
				continue
			}
			c := cov[j][:j+1]
			for l, y := range v[:j+1] {
				c[l] += float64(x * y)
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	for j := range cov {
		for l := range j {
			cov[l][j] = cov[j][l]
		}
	}
	axes := make([][]float64, count)
	for i := range axes {
		axes[i] = make([]float64, d)
		for j := range axes[i] {
			axes[i][j] = r.NormFloat64()
		}
	}
	next := make([]float64, d)
	for range headRounds {
		for _, a := range axes {
			for j, c := range cov {
				next[j] = runtime.Product64(c, a)
			}
			copy(a, next)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		if !orthonormalize(axes) {
			return nil, nil
		}
	}
	// The longest first, so that any number of leading ones is a good head.
	along := make([]float64, count)
	order := make([]int, count)
	for i, a := range axes {
		order[i] = i
		for _, v := range rows[:min(len(rows), 500)] {
			s := runtime.Product64(v, a)
			along[i] += float64(s * s)
		}
	}
	sort.Slice(order, func(i, j int) bool { return along[order[i]] > along[order[j]] })
	sorted := make([][]float64, count)
	for i, at := range order {
		sorted[i] = axes[at]
	}
	return sorted, nil
}

// orthonormalize makes the axes orthonormal, one after another, each twice: once leaves the rounding of what it takes off.
func orthonormalize(axes [][]float64) bool {
	for i, a := range axes {
		for range 3 {
			for _, b := range axes[:i] {
				s := runtime.Product64(a, b)
				for j, v := range b {
					a[j] -= float64(s * v)
				}
			}
			n := math.Sqrt(runtime.Product64(a, a))
			if !(n > 1e-200) {
				return false
			}
			for j := range a {
				a[j] /= n
			}
		}
	}
	return true
}
