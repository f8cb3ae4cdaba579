package runtime

import "math"

// voteWeights sets weights to what each neighbour of query i counts: 1, or one over its distance. As in scikit-learn,
// neighbours at distance zero count alone.
func (c *Classifier) voteWeights(i int) []float64 {
	near := c.Neighbors(i)
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

// Votes gives what each class of an output got from the neighbours of query i. Valid until the next call of a method.
// The model must be one of TaskClassify.
func (c *Classifier) Votes(i, output int) []float64 {
	votes := c.votes[:len(c.m.cfg.Outputs[output].Classes)]
	clear(votes)
	w := c.voteWeights(i)
	for j, n := range c.Neighbors(i) {
		votes[c.Label(n.Row, output)] += w[j]
	}
	return votes
}

// Class is the class that the neighbours of query i vote for; the first of equal ones.
func (c *Classifier) Class(i, output int) int {
	best, votes := 0, c.Votes(i, output)
	for class, v := range votes {
		if v > votes[best] {
			best = class
		}
	}
	return best
}

// Probabilities gives the share of each class in the votes. Valid until the next call of a method.
func (c *Classifier) Probabilities(i, output int) []float64 {
	votes := c.Votes(i, output)
	sum := 0.0
	for _, v := range votes {
		sum += v
	}
	if sum == 0 { // every distance is infinite or so large that one over it is zero
		return votes
	}
	for class := range votes {
		votes[class] /= sum
	}
	return votes
}

// Value is the weighted mean of the neighbours' targets. The model must be one of TaskRegress.
func (c *Classifier) Value(i, output int) float64 {
	sum, total := 0.0, 0.0
	w := c.voteWeights(i)
	for j, n := range c.Neighbors(i) {
		sum += float64(c.Target(n.Row, output) * w[j])
		total += w[j]
	}
	return sum / total
}
