// Package kernels holds the inner loops: what takes the time when a model runs.
//
// A Set is a struct of functions, one an operation. The set "generic" is plain Go and is what every operation means;
// each faster set returns the same bits, floats included, so that a model gives the same output on every CPU, with any
// number of threads and any batch. Reading order: this file (the contract), generic*.go (the meaning), linear.go (how the
// matrix operations are driven), sets_*.go (which sets a CPU has), then one .s file an operation and architecture.
//
// How floats stay identical: every product is rounded before it is added (float32(a*b) + c, never fused), a sum over a
// vector puts element j into lane j % 16 and folds the lanes i+8, i+4, i+2, i+1, functions are the polynomials of math.go,
// and a float becomes an integer only by adding 1.5 * 2^23 (to nearest, ties to even) and after its range is known. Which
// of several NaNs comes out is not defined.
//
// Slices: an operation panics if one is shorter than its shape says, and never touches what lies past that shape.
// None allocates. Nothing here is aligned beyond the element type's own size.
package kernels

import (
	"fmt"
	"os"
	"strings"
)

// Lanes is the number of lanes that a sum over a vector is split into, and of weight rows in a block of N16K4.
const Lanes = 16

// Pad16 rounds n up to a multiple of 16, the padding of both dimensions of a weight matrix.
func Pad16(n int) int { return (n + 15) &^ 15 }

// Activation is what EpilogueF32 and Activate apply to each element.
type Activation uint8

// The activations, with the Go they equal. erf, tanh and sigmoid are those of this package.
const (
	ActNone        Activation = iota // x
	ActReLU                          // 0 > x ? 0 : x
	ActGELU                          // (0.5*x) * (1 + erf(x * 0.70710678))
	ActGELUTanh                      // (0.5*x) * (1 + tanh(0.79788456 * (x + 0.044715*((x*x)*x))))
	ActGELUSigmoid                   // x * sigmoid(1.702*x)
	ActSiLU                          // x * sigmoid(x)
	ActTanh
	ActSigmoid
	numActivations
)

// Set is one implementation of every operation. It is a value: a worker holds its own, since the cores of one board may differ.
//
// Weights lie in layout N16K4: blocks of 16 rows by 4 columns, byte (n/16)*16*K + (k/4)*64 + (n%16)*4 + k%4, with N and K
// padded to 16 by zeros; no weight and no activation is ever -128. sums[n] is the sum of row n over k (the sets for VNNI need it). Sums over
// k are exact in int32 for K <= 131,071.
type Set struct {
	Name string

	// GemvS8 computes acc[n] = Σ x[k] * w[n, k]. Shapes: len(x) = K, len(acc) = len(sums) = N, both multiples of 16.
	GemvS8 func(acc []int32, x []int8, w []int8, sums []int32)

	// GemmS8 computes acc[i*N+n] = Σ x[i*k+j] * w[n, j] for x [m, k]; N = len(sums), k and N multiples of 16.
	GemmS8 func(acc []int32, x []int8, w []int8, sums []int32, m, k int)

	// EpilogueF32 turns a tile of sums into floats:
	//
	//	dst[i*ld+j] = act(float32(acc[i*n+j])*(xScale[i]*wScale[j]) + bias[j]) + residual[i*ld+j]
	//
	// m = len(xScale), n = len(wScale), n a multiple of 16. bias and residual may be nil (then nothing is added); residual may be dst.
	EpilogueF32 func(dst []float32, ld int, acc []int32, xScale, wScale, bias []float32, act Activation, residual []float32)

	// QuantizeRow computes q = clamp(roundToEven(x * (127/absmax)), -127, 127) and scale = absmax/127. An absmax below 2^-100
	// gives scale 0 and q 0. A NaN or infinity gives ok = false, scale 0 and q 0. q[len(x):] is zeroed (the padding of K).
	QuantizeRow func(q []int8, x []float32) (scale float32, ok bool)

	// LayerNorm computes dst = ((x-mean) * (1/sqrt(var+eps))) * gamma + beta. With residual, x += residual first (x is changed).
	// mean = Σx/n, var = Σ(x-mean)²/n. beta may be nil. dst may be x.
	LayerNorm func(dst, x, residual, gamma, beta []float32, eps float32)

	// RMSNorm computes dst = (x * (1/sqrt(Σx²/n + eps))) * gamma. With residual, x += residual first. dst may be x.
	RMSNorm func(dst, x, residual, gamma []float32, eps float32)

	// Softmax replaces x by exp(x-max) * (1/Σexp(x-max)), results below 2^-126 by 0. A row that is -Inf throughout gives NaN.
	Softmax func(x []float32)

	// LogSumExp returns max + log(Σexp(x-max)): x[i] minus it is a log-probability. NaN for an empty x.
	LogSumExp func(x []float32) float32

	// Activate applies act in place.
	Activate func(x []float32, act Activation)

	// Exp, Tanh and Sigmoid compute dst[i] = f(x[i]) for i < len(x). dst may be x. Errors: see math.go.
	Exp, Tanh, Sigmoid func(dst, x []float32)

	Add   func(dst, x []float32)         // dst[i] += x[i] for i < len(x)
	Scale func(dst []float32, s float32) // dst[i] *= s

	// Dot returns Σ x[i]*y[i] for i < len(x), in 16 lanes.
	Dot func(x, y []float32) float32

	// StoreKeys puts the keys of n positions, rows of dim floats stride apart in k, into the blocks that Scores reads: kb[(p/16)*16*dim
	// + j*16 + p%16] = k[p*stride+j], and 0 for what the last block has beyond n. kb does not overlap k.
	StoreKeys func(kb, k []float32, n, dim, stride int)

	// Scores computes dst[p] = (Σ q[d]*kb[d, p]) * scale, summed over d in order from 0. kb holds the keys in blocks
	// [pos/16][headDim][16], headDim = len(q), so that lanes are positions; the last block is present whole.
	Scores func(dst, q, kb []float32, scale float32)

	// WeightedSum adds to dst[j] the products p[i] * v[i*stride+j], i in order, starting from what dst holds.
	WeightedSum func(dst, p, v []float32, stride int)

	// L1S8 computes acc[i*N+n] = Σ |x[i*k+j] - w[n, j]|, MaxS8 the largest |x[i*k+j] - w[n, j]|, for x [m, k] and the N =
	// len(w)/k rows of w; k and N multiples of 16.
	L1S8, MaxS8 func(acc []int32, x []int8, w []int8, m, k int)

	// GemvS4 computes acc[n] = Σ x[j]*u + x[h+j]*l over the h = len(x)/2 bytes j of row n of w, where u and l are what the byte stands
	// for: see generic_pairs.go. w lies in N16K4 as [n, h], any byte may come; h and n are multiples of 16.
	GemvS4 func(acc []int32, x []int8, w []int8)

	// RowsS4 computes the same for rows that lie one after another in w: acc[i] is that of row rows[i].
	RowsS4 func(acc []int32, x []int8, w []int8, rows []int32)

	// Survivors looks at sums of m = len(b) queries with n = len(acc)/m rows, acc [m, n]. It puts into idx the places i*n+j of
	// those whose b[i].Value(acc[i*n+j], ...) is not below b[i].Min, and returns how many there are: by blocks of 16 rows,
	// then queries, then rows. n is a multiple of 16; idx has room for all.
	Survivors func(idx, acc []int32, scale, residual, norm, length []float32, b []Bound) int

	// Squares8 computes out[i] = Σ (x[j] - rows[i][j])², Absolute8 out[i] = Σ |x[j] - rows[i][j]|, in float64 with j in order, for
	// eight rows of at least len(x) floats.
	Squares8, Absolute8 func(out *[8]float64, x []float64, rows *[8][]float32)

	// ArgMax returns the index of the largest element, the lowest of equal ones. NaN never wins; -1 if there is nothing else.
	ArgMax func(x []float32) int

	// TopK puts the len(idx) largest elements into idx and val, largest first, equal ones by index, NaN left out,
	// and returns how many there were. len(val) >= len(idx).
	TopK func(idx []int32, val []float32, x []float32) int

	// Limits are no operations: what the core could do at most, for benchmarks.
	Limits Limits

	// fused is GemmS8 and EpilogueF32 in one, for m = len(xScale) rows, with acc as scratch; false if it leaves the product to these two.
	fused func(dst []float32, ld int, acc []int32, x, w []int8, sums []int32, xScale, wScale, bias []float32, act Activation, residual []float32) bool

	// reach is the method Reach; ok is false if it leaves the work to GemmS8 and Survivors.
	reach func(found Reached, acc []int32, x, w []int8, sums []int32, scale, residual, norm, length []float32, b []Bound, small bool) (count int, ok bool)

	// lstm and gru are the methods LSTM and GRU for n > 0 units, without peepholes, clipping and coupled gates; nil: there is no such
	// function.
	lstm func(h, c, gates *float32, n int)
	gru  func(h, x, p *float32, n int)

	argMaxAbove func(x []float32, floor float32) int // ArgMaxAbove in less time, or nil

	cols int // weight rows that Linear takes to GemmS8 at a time; 0: tileCols
}

// ArgMaxAbove returns what ArgMax does if that element is above floor, which is no NaN, else -1. Of many pieces of one vector few have something larger
// than all before, and where it lies need not be looked for in the others.
func (s *Set) ArgMaxAbove(x []float32, floor float32) int {
	if s.argMaxAbove != nil {
		return s.argMaxAbove(x, floor)
	}
	if i := s.ArgMax(x); i >= 0 && x[i] > floor {
		return i
	}
	return -1
}

// Info says of one set that this build knows what it needs and whether this CPU has that.
type Info struct {
	Name   string
	Needs  string // instructions, in words
	Usable bool
	Why    string // why not, if not Usable; else why it stands where it does among others for the same instructions, if there are any
}

// UnavailableError is returned for a set that was asked for by name and cannot be had.
type UnavailableError struct {
	Name      string
	Why       string
	Available []string // what can be had, slowest first
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("kernels: set %q: %s; available here: %s", e.Name, e.Why, strings.Join(e.Available, ", "))
}

// variant is one set of this build: it starts from the set below and replaces what it does faster.
type variant struct {
	name, needs string
	why         string // why it stands above its twin
	usable      func() bool
	improve     func(s *Set)
}

// Available returns the sets that this CPU can run, slowest first; generic is always the first.
func Available() []Set {
	s := generic()
	sets := []Set{s}
	for _, v := range variants {
		if !v.usable() {
			continue
		}
		v.improve(&s)
		s.Name = v.name
		sets = append(sets, s)
	}
	return sets
}

// All describes every set that this build knows, slowest first.
func All() []Info {
	infos := []Info{{Name: "generic", Needs: "nothing", Usable: true}}
	for _, v := range variants {
		i := Info{Name: v.name, Needs: v.needs, Usable: v.usable(), Why: v.why}
		if !i.Usable {
			i.Why = "this CPU lacks " + v.needs
		}
		infos = append(infos, i)
	}
	return infos
}

// Select returns the set called name, or the best of Available if name is empty. A set that is unknown or that this CPU
// lacks is an *UnavailableError, never another set.
func Select(name string) (Set, error) {
	sets := Available()
	if name == "" {
		return sets[len(sets)-1], nil
	}
	e := &UnavailableError{Name: name, Why: "unknown in a build for " + arch}
	for _, s := range sets {
		if s.Name == name {
			return s, nil
		}
		e.Available = append(e.Available, s.Name)
	}
	for _, i := range All() {
		if i.Name == name {
			e.Why = i.Why
		}
	}
	return Set{}, e
}

// Default returns the set that the environment variable EDGE_INFER_KERNELS names, or the best one.
func Default() (Set, error) { return Select(os.Getenv("EDGE_INFER_KERNELS")) }
