package newest

// Bytes is about what the kept generations take.
func (c *Cache[T]) Bytes() uint64 {
	c.generations.CleanUp()
	return c.generations.WeightedSize()
}
