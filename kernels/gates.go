package kernels

import "fmt"

// The recurrent gates: what turns a row of sums into the next state, 16 units at a time, so that the gates of those units are
// read once. What common models have is one function of the Set, written whole in assembly; peepholes, coupled gates, clipping
// and the other convention of the GRU drive the Set's Sigmoid and Tanh. Every set gives the bits of generic.
//
// Gates lie in groups, 16 units of one gate after 16 units of the next, so that lanes are units.

// LSTM advances one row of units by one step.
//
//	i = sigmoid(clip(gates.i + peephole.i*c))
//	f = sigmoid(clip(gates.f + peephole.f*c)), or 1 - i if coupled
//	c = f*c + i*tanh(clip(gates.g))
//	o = sigmoid(clip(gates.o + peephole.o*c))
//	h = o * tanh(clip(c))
//
// Shapes: len(c) = n units, a multiple of 16; len(h) >= n; gates 4n floats in groups of 64, 16 units x (i, f, g, o); peephole
// nil, or 3n in groups of 48, 16 units x (i, f, o). clip bounds what an activation sees; 0: not at all.
// gates is scratch afterwards. Panics if a slice is shorter than its shape. Does not allocate; h must not overlap c.
// Source: Gers et al. 2000 with peepholes, in the formulation of ONNX (which has the order i, o, f, c).
func (s *Set) LSTM(h, c, gates, peephole []float32, clip float32, coupled bool) {
	n := len(c)
	if n%Lanes != 0 {
		panic(fmt.Sprintf("kernels: LSTM of %d units, must be a multiple of 16", n))
	}
	h, gates = cut(h, n), cut(gates, 4*n)
	if peephole != nil {
		peephole = cut(peephole, 3*n)
	}
	if s.lstm != nil && peephole == nil && clip == 0 && !coupled && n > 0 {
		s.lstm(&h[0], &c[0], &gates[0], n)
		return
	}
	for u := 0; u < n; u += Lanes {
		g := gates[4*u : 4*u+64 : 4*u+64]
		cu, hu := (*[16]float32)(c[u:]), (*[16]float32)(h[u:])
		if peephole != nil {
			addProducts(g[:16], peephole[3*u:3*u+16], cu)
			addProducts(g[16:32], peephole[3*u+16:3*u+32], cu)
		}
		if clip != 0 {
			clamp(g[:48], clip)
		}
		s.Sigmoid(g[:32], g[:32])
		s.Tanh(g[32:48], g[32:48])
		i, f, t := (*[16]float32)(g), (*[16]float32)(g[16:]), (*[16]float32)(g[32:])
		if coupled {
			for l, v := range i {
				f[l] = 1 - v
			}
		}
		for l := range cu {
			cu[l] = float32(f[l]*cu[l]) + float32(i[l]*t[l])
		}
		o := (*[16]float32)(g[48:])
		if peephole != nil {
			addProducts(o[:], peephole[3*u+32:3*u+48], cu)
		}
		*hu = *cu
		if clip != 0 {
			clamp(o[:], clip)
			clamp(hu[:], clip)
		}
		s.Sigmoid(o[:], o[:])
		s.Tanh(hu[:], hu[:])
		for l := range hu {
			hu[l] = float32(o[l] * hu[l])
		}
	}
}

// GRU advances one row of units by one step, with the reset gate on the recurrent product (cuDNN, PyTorch; ONNX with
// linear_before_reset). The other convention needs a product between its gates: GRUReset and GRUUpdate around it.
//
//	r = sigmoid(clip(x.r + p.r)), z = sigmoid(clip(x.z + p.z))
//	n = tanh(clip(x.n + r*p.n))
//	h = (1-z)*n + z*h
//
// Shapes: len(h) = n units, a multiple of 16; x (products of the input) and p (of the state, bias included) 3n floats in groups
// of 48, 16 units x (r, z, n). x is scratch afterwards. Panics if a slice is shorter than its shape. Does not allocate.
// Source: Cho et al. 2014, in the formulation of ONNX (which has the order z, r, h).
func (s *Set) GRU(h, x, p []float32, clip float32) {
	n := len(h)
	if n%Lanes != 0 {
		panic(fmt.Sprintf("kernels: GRU of %d units, must be a multiple of 16", n))
	}
	x, p = cut(x, 3*n), cut(p, 3*n)
	if s.gru != nil && clip == 0 && n > 0 {
		s.gru(&h[0], &x[0], &p[0], n)
		return
	}
	for u := 0; u < n; u += Lanes {
		xu, pu := x[3*u:3*u+48:3*u+48], p[3*u:3*u+48:3*u+48]
		s.Add(xu[:32], pu[:32])
		if clip != 0 {
			clamp(xu[:32], clip)
		}
		s.Sigmoid(xu[:32], xu[:32])
		r := (*[16]float32)(xu)
		addProducts(xu[32:], pu[32:], r)
		if clip != 0 {
			clamp(xu[32:], clip)
		}
		s.Tanh(xu[32:], xu[32:])
		mix((*[16]float32)(h[u:]), (*[16]float32)(xu[16:]), (*[16]float32)(xu[32:]))
	}
}

// GRUReset is the first half of the convention in which the reset gate comes before the recurrent product: gates 2n floats in
// groups of 32, 16 units x (r, z), become sigmoid(clip(gates)), and reset becomes r*h, which the candidate's matrix multiplies.
func (s *Set) GRUReset(reset, h, gates []float32, clip float32) {
	n := len(h)
	if n%Lanes != 0 {
		panic(fmt.Sprintf("kernels: GRUReset of %d units, must be a multiple of 16", n))
	}
	reset, gates = cut(reset, n), cut(gates, 2*n)
	if clip != 0 {
		clamp(gates, clip)
	}
	s.Sigmoid(gates, gates)
	for u := 0; u < n; u += Lanes {
		r, hu := (*[16]float32)(gates[2*u:]), (*[16]float32)(h[u:])
		for l := range hu {
			reset[u+l] = float32(r[l] * hu[l])
		}
	}
}

// GRUUpdate is the second half: h = (1-z)*n + z*h with n = tanh(clip(candidate)), z the second of each group of 32 of gates.
func (s *Set) GRUUpdate(h, gates, candidate []float32, clip float32) {
	n := len(h)
	if n%Lanes != 0 {
		panic(fmt.Sprintf("kernels: GRUUpdate of %d units, must be a multiple of 16", n))
	}
	gates, candidate = cut(gates, 2*n), cut(candidate, n)
	if clip != 0 {
		clamp(candidate, clip)
	}
	s.Tanh(candidate, candidate)
	for u := 0; u < n; u += Lanes {
		mix((*[16]float32)(h[u:]), (*[16]float32)(gates[2*u+16:]), (*[16]float32)(candidate[u:]))
	}
}

// mix is h = (1-z)*n + z*h.
func mix(h, z, n *[16]float32) {
	for l := range h {
		h[l] = float32((1-z[l])*n[l]) + float32(z[l]*h[l])
	}
}

// addProducts is dst[l] += a[l]*b[l] for 16 lanes.
func addProducts(dst, a []float32, b *[16]float32) {
	d, x := (*[16]float32)(dst), (*[16]float32)(a)
	for l := range d {
		d[l] += float32(x[l] * b[l])
	}
}

// Clamp bounds x to [-limit, limit] in place; a NaN stays one.
func Clamp(x []float32, limit float32) { clamp(x, limit) }

func clamp(x []float32, limit float32) {
	for i, v := range x {
		if v > limit {
			x[i] = limit
		} else if v < -limit {
			x[i] = -limit
		}
	}
}
