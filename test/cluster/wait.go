package cluster

import (
	"context"
	"fmt"
	"time"
)

// pollEvery is how often a condition is looked at.
const pollEvery = 20 * time.Millisecond

// Await looks at a condition until it holds (a nil error) or ctx ends; its own
// error then says what was waited for and what was seen last.
func Await(ctx context.Context, what string, holds func(context.Context) error) error {
	began := time.Now()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	last := fmt.Errorf("never looked")
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("waited %s for %s: %w", time.Since(began).Round(time.Millisecond), what, last)
		}
		if last = holds(ctx); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
