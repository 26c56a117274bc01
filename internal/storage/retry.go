package storage

import (
	"context"
	"math/rand/v2"
	"time"
)

// retry calls attempt, numbered from 1, until it succeeds, fails in a way that
// another try does not mend, or the bounds are reached; it returns the last
// error. The pause between two attempts is random between nothing and a bound
// that doubles, so that many callers of a store that comes back do not all
// come back with it.
func (t Timeouts) retry(ctx context.Context, attempt func(n int) error) error {
	begun := time.Now()
	bound := t.BackoffBase
	for n := 1; ; n++ {
		err := attempt(n)
		if err == nil || !retryable(err) || n >= t.Attempts {
			return err
		}
		pause := rand.N(min(bound, t.BackoffMax) + 1)
		if bound < t.BackoffMax {
			bound *= 2
		}
		if time.Since(begun)+pause > t.Total {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			// The store's own words say more than "context canceled", and both
			// stay findable.
			return &failure{kind: err, cause: context.Cause(ctx)}
		}
	}
}
