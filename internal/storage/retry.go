package storage

import (
	"bytes"
	"context"
	"errors"
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

// taken decides what it means that the name of a Put is taken, found out by its
// n-th attempt. In the first one it is somebody else's. Later it may be our own
// earlier attempt, which landed although we were told otherwise: then the content
// is the same, and the Put has succeeded. download reads what is there, up to the
// size of body.
func taken(n int, body []byte, download func() ([]byte, error)) error {
	if n == 1 {
		return ErrExists
	}
	there, err := download()
	switch {
	case errors.Is(err, ErrTooLarge):
		return ErrExists
	case errors.Is(err, ErrNotFound):
		return &failure{kind: ErrUnavailable, cause: errors.New("the object came and went"), retry: true}
	case err != nil:
		return err
	case !bytes.Equal(there, body):
		return ErrExists
	}
	return nil
}
