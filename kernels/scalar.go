package kernels

// ExpF32 is e^x, the same bits everywhere; errors as stated in math.go. For single values; a Set's Exp is for slices.
func ExpF32(x float32) float32 { return exp32(x) }

// LogF32 is the natural logarithm of x, the same bits everywhere; errors as stated in math.go.
func LogF32(x float32) float32 { return log32(x) }
