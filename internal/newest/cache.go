// Package newest keeps the newest generation of each of many things ready, within
// a bound on memory.
package newest

import (
	"github.com/maypok86/otter/v2"
)

// Cache keeps one generation of each thing. A generation never changes, so nothing
// in it can be wrong; a newer one takes the place of the one before, which hardly
// anybody asks for again, and what is not asked for at all falls out.
type Cache[T any] struct {
	generations *otter.Cache[string, generation[T]]
}

type generation[T any] struct {
	revision uint64
	what     T
	weight   uint32
}

// New makes a cache that holds about so many bytes.
func New[T any](bytes int64) (*Cache[T], error) {
	generations, err := otter.New(&otter.Options[string, generation[T]]{
		MaximumWeight: uint64(bytes),
		Weigher:       func(_ string, g generation[T]) uint32 { return g.weight },
	})
	if err != nil {
		return nil, err
	}
	return &Cache[T]{generations: generations}, nil
}

// Get returns a thing's generation of that revision, if it is the one that is kept.
func (c *Cache[T]) Get(name string, revision uint64) (what T, ok bool) {
	g, found := c.generations.GetIfPresent(name)
	if !found || g.revision != revision {
		return what, false
	}
	return g.what, true
}

// Keep keeps a generation that takes so many bytes, unless a newer one is there:
// who looks at an old state must not drive out what the others look at.
func (c *Cache[T]) Keep(name string, revision uint64, what T, bytes int) {
	const overhead = 128 // what the cache itself needs for an entry
	next := generation[T]{revision, what, uint32(min(len(name)+bytes+overhead, 1<<31))}
	c.generations.Compute(name, func(old generation[T], found bool) (generation[T], otter.ComputeOp) {
		if found && old.revision >= revision {
			return old, otter.CancelOp
		}
		return next, otter.WriteOp
	})
}
