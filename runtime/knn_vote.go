package runtime

import "math"

// voteWeights sets weights to what each neighbour counts: 1, or one over its distance. As in scikit-learn, neighbours at
// distance zero count alone.
func (c *Classifier) voteWeights(near []Neighbor) []float64 {
	w := c.weights[:len(near)]
	if c.opt.Weights == WeightsUniform {
		for j := range w {
			w[j] = 1
		}
		return w
	}
	zero := false
	for j, n := range near {
		w[j] = 1 / n.Distance
		zero = zero || math.IsInf(w[j], 1)
	}
	for j := range w {
		if zero && math.IsInf(w[j], 1) {
			w[j] = 1
		} else if zero {
			w[j] = 0
		}
	}
	return w
}

// Votes gives what each class of an output gets from some neighbours, at most K. Valid until the next call of a method.
// The model must be one of TaskClassify.
func (c *Classifier) Votes(near []Neighbor, output int) []float64 {
	votes := c.votes[:len(c.m.cfg.Outputs[output].Classes)]
	clear(votes)
	w := c.voteWeights(near)
	for j, n := range near {
		votes[c.Label(n.Row, output)] += w[j]
	}
	return votes
}

// Class is the class that the neighbours vote for; the first of equal ones.
func (c *Classifier) Class(near []Neighbor, output int) int {
	best, votes := 0, c.Votes(near, output)
	for class, v := range votes {
		if v > votes[best] {
			best = class
		}
	}
	return best
}

// Probabilities gives the share of each class in the votes. Valid until the next call of a method.
func (c *Classifier) Probabilities(near []Neighbor, output int) []float64 {
	votes := c.Votes(near, output)
	sum := 0.0
	for _, v := range votes {
		sum += v
	}
	if sum == 0 { // distances so large that one over them is zero
		return votes
	}
	for class := range votes {
		votes[class] /= sum
	}
	return votes
}

// Value is the weighted mean of the neighbours' targets. The model must be one of TaskRegress.
func (c *Classifier) Value(near []Neighbor, output int) float64 {
	sum, total := 0.0, 0.0
	w := c.voteWeights(near)
	for j, n := range near {
		sum += float64(c.Target(n.Row, output) * w[j])
		total += w[j]
	}
	return sum / total
}
