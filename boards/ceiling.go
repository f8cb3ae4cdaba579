package boards

// This file says what a board could do at most, from plain numbers. It knows nothing of models or kernels.

// Pass is weights that are read and multiplied with, again and again.
type Pass struct {
	Bytes float64 // of the weights
	MACs  float64 // int8 multiply-adds of one pass
	Times float64 // passes, one right after another
}

// What a ceiling is made of.
const (
	BoundMemory   = "memory"
	BoundMultiply = "multiplies"
)

// Fast is the cluster that computes: on a board with big and little cores the big ones.
func (p *Profile) Fast() *Cluster {
	best := &p.Clusters[0]
	for i := range p.Clusters {
		c := &p.Clusters[i]
		if coreNamed(best.Core).Little && !coreNamed(c.Core).Little {
			best = c
		}
	}
	return best
}

// CoreKind says what the cores of a cluster are.
func (c *Cluster) CoreKind() *Core { return coreNamed(c.Core) }

// Multiplies is int8 multiply-adds a second of some cores of a cluster, for so many rows at once. SMMLA takes rows by twos: one
// row leaves half of it unused.
func (c *Cluster) Multiplies(cores int, rows float64) float64 {
	kind := c.CoreKind()
	a := kind.Multiply.Value
	if kind.Feature == FeatureI8MM && rows <= 1 {
		a /= 2
	}
	return float64(min(cores, c.Count)) * c.MHz.Value * 1e6 * a
}

// Stays is the bytes of weights that stay near some of the fast cores from one pass to the next: the last level of caches.
func (p *Profile) Stays(cores int) float64 {
	c := p.Fast()
	kb := max(c.L2, -c.L2*min(cores, c.Count))
	if p.L3 > 0 {
		kb = p.L3
	}
	return float64(kb) * 1024
}

// Least is the seconds that the passes take at the very least on some of the fast cores, and what most of them go to. Each
// pass takes the longer of reading and of multiplying, both at full speed. Weights that stay in the caches are not read from
// memory again.
func (p *Profile) Least(passes []Pass, cores int) (seconds float64, bound string) {
	c, stays, all := p.Fast(), p.Stays(cores), 0.0
	for _, w := range passes {
		all += w.Bytes
	}
	memory, multiply := 0.0, 0.0
	for _, w := range passes {
		fromMemory := w.Times
		switch {
		case all <= stays: // and have been there since the last time
			fromMemory = 0
		case w.Bytes <= stays:
			fromMemory = min(w.Times, 1)
		}
		reading, multiplying := w.Bytes/(c.Read.Value*1e6), w.MACs/c.Multiplies(cores, w.MACs/w.Bytes)
		if reading > multiplying {
			memory += fromMemory * reading
			multiply += (w.Times - fromMemory) * multiplying
		} else {
			multiply += w.Times * multiplying
		}
	}
	if memory > multiply {
		return memory + multiply, BoundMemory
	}
	return memory + multiply, BoundMultiply
}

// FreeAt is the MB that programs have on an idle board with so much RAM.
func (p *Profile) FreeAt(ram int) Figure {
	if ram == p.RAM[0] {
		return p.Free
	}
	return estimate(0.85*float64(ram)-100, guess)
}
