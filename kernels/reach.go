package kernels

// Reached lists sums that reach bounds: their places, the sums themselves, and their Bound.Value. The slices are of one length.
type Reached struct {
	Place []int32
	Sum   []int32
	Value []float32
}

// Reach computes sums and finds those that reach bounds: GemmS8 and Survivors in one. m = len(b) queries x [m, k] meet the n =
// len(sums) rows of w. It returns what Survivors does: how many places i*n+j it put into found, in that order, with their sums and
// values. acc [m, n] is scratch; found has room for all. Few sums reach their bound where neighbours are sought: a set that tests them while
// they are in registers need not read them again. small says that neither x nor w has an element outside -64 to 63, for which some sets need
// less time.
func (s *Set) Reach(found Reached, acc []int32, x, w []int8, sums []int32, scale, residual, norm, length []float32, b []Bound, small bool) int {
	m, n := len(b), len(sums)
	if m == 0 {
		panic("kernels: Reach needs queries")
	}
	acc, place, sum, value := cut(acc, m*n), cut(found.Place, m*n), cut(found.Sum, m*n), cut(found.Value, m*n)
	if s.reach != nil {
		if n, ok := s.reach(Reached{place, sum, value}, acc, x, w, sums, scale, residual, norm, length, b, small); ok {
			return n
		}
	}
	s.GemmS8(acc, x, w, sums, m, len(x)/m)
	place = place[:s.Survivors(place, acc, scale, residual, norm, length, b)]
	for at, j := range place {
		i := int(uint32(j) / uint32(n))
		row := int(j) - i*n
		sum[at], value[at] = acc[j], b[i].Value(acc[j], scale[row], residual[row], norm[row], length[row])
	}
	return len(place)
}
