package kernels

// vecLaneMax puts into lanes[l] the largest x[i] with i%16 == l, NaN left out; n is a multiple of 16 above 0.
//
//go:noescape
func vecLaneMax(lanes *[Lanes]float32, x *float32, n int)

// vecRank counts how many j have v[j] > v[i], or v[j] == v[i] and j < i: the place of v[i] in a list, largest first.
//
//go:noescape
func vecRank(rank *[Lanes]int32, v *[Lanes]float32)

// vecSelect puts into idx, in order, the indices of elements that are at least least, until fewer than sixteen places of room are
// left: at is where it stopped. n is a multiple of 16 above 0.
//
//go:noescape
func vecSelect(idx *int32, x *float32, n int, least float32, room int) (found, at int)

// topKAVX2 finds short lists in long rows without comparing one by one, which guesses wrong at every other element that
// enters the list: the largest elements of sixteen lanes bound the list from below, few elements reach that, and their places are counted.
func topKAVX2(idx []int32, val []float32, x []float32) int {
	k, n := len(idx), whole(len(x))
	if k == 0 || k > Lanes || n < 4*Lanes {
		return topKVector(idx, val, x)
	}
	val = cut(val, k)
	var v, sorted [Lanes]float32
	var rank [Lanes]int32
	vecLaneMax(&v, &x[0], n)
	vecRank(&rank, &v)
	for i, r := range rank {
		sorted[r&15] = v[i]
	}
	// k elements of as many lanes are at least this.
	least := sorted[k-1]
	if least == minusInf {
		return topKVector(idx, val, x) // nearly nothing but -Inf and NaN
	}
	var candidates [4 * Lanes]int32
	found, at := vecSelect(&candidates[0], &x[0], n, least, len(candidates)-Lanes)
	if at < n {
		return topKVector(idx, val, x) // many ties
	}
	for i, e := range x[n:] {
		if e >= least {
			candidates[found] = int32(n + i)
			found++
		}
	}
	if found > Lanes {
		m := 0
		for _, c := range candidates[:found] {
			m = insertTopK(idx, val, m, x[c:c+1], int(c))
		}
		return m
	}
	for i := range v {
		if v[i] = minusInf; i < found {
			v[i] = x[candidates[i]]
		}
	}
	vecRank(&rank, &v)
	var order [Lanes]int32
	for i, r := range rank {
		order[r&15] = candidates[i]
	}
	for i := range idx {
		idx[i], val[i] = order[i], x[order[i]]
	}
	return k
}
