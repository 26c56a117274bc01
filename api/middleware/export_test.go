package middleware

// Remembered is how many addresses failed attempts are remembered of.
func Remembered(r *Rates) int {
	r.failures.kept.CleanUp()
	return r.failures.kept.EstimatedSize()
}
