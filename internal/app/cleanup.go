package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// cleanup is what must be undone, in the reverse order of how it was done.
type cleanup struct {
	running sync.Mutex
	steps   []step
}

type step struct {
	what string
	undo func(context.Context) error
}

func (c *cleanup) add(what string, undo func(context.Context) error) {
	c.steps = append(c.steps, step{what, undo})
}

// run undoes everything once; a second call waits for the first. A step that fails does not keep those below it
// from being undone, and once the context has ended steps must hurry, but each
// is still asked.
func (c *cleanup) run(ctx context.Context) error {
	c.running.Lock()
	defer c.running.Unlock()
	var errs []error
	for len(c.steps) > 0 {
		last := c.steps[len(c.steps)-1]
		c.steps = c.steps[:len(c.steps)-1]
		if err := last.undo(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", last.what, err))
		}
	}
	return errors.Join(errs...)
}
