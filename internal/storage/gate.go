package storage

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// gate bounds how many calls are under way in a store and how many wait.
type gate struct {
	slots     chan struct{}
	waiting   atomic.Int64
	maxQueued int64
}

func newGate(maxConcurrent, maxQueued int) *gate {
	return &gate{slots: make(chan struct{}, maxConcurrent), maxQueued: int64(maxQueued)}
}

// enter waits for a slot, at most for patience.
func (g *gate) enter(ctx context.Context, patience time.Duration) error {
	if err := ctx.Err(); err != nil {
		return &failure{kind: ErrUnavailable, cause: context.Cause(ctx)}
	}
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	if g.waiting.Add(1) > g.maxQueued {
		g.waiting.Add(-1)
		return &failure{kind: ErrUnavailable, cause: errors.New("too many calls wait for it")}
	}
	defer g.waiting.Add(-1)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &failure{kind: ErrUnavailable, cause: context.Cause(ctx)}
	case <-timer.C:
		return &failure{kind: ErrUnavailable, cause: fmt.Errorf("all its %d slots stayed busy for %s", cap(g.slots), patience)}
	}
}

func (g *gate) leave() { <-g.slots }

// budget is the time that one attempt has left.
type budget struct {
	timer      *time.Timer
	base       time.Duration
	throughput int64
}

// extend starts the time anew, with what bytes need to be transferred: called
// when the store has answered and the size is known.
func (b *budget) extend(bytes int64) {
	b.timer.Reset(b.base + transferTime(bytes, b.throughput))
}

func transferTime(bytes, throughput int64) time.Duration {
	if bytes <= 0 {
		return 0
	}
	return time.Duration(float64(bytes) / float64(throughput) * float64(time.Second))
}

// lane runs attempts in one store: admitted by its gate, in a goroutine of
// their own, each within its budget.
type lane struct {
	gate     *gate
	timeouts Timeouts
}

// run makes one attempt. When its time is over it returns, even if what it
// runs is stuck in a system call that nothing can interrupt; the slot stays
// taken until that call comes back, so that a dead store blocks itself alone.
// What it runs must therefore not touch its caller's variables.
func run[T any](ctx context.Context, l *lane, size int64, attempt func(context.Context, *budget) (T, error)) (T, error) {
	var zero T
	if err := l.gate.enter(ctx, l.timeouts.Attempt); err != nil {
		return zero, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	limit := l.timeouts.Attempt + transferTime(size, l.timeouts.Throughput)
	late := fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	b := &budget{base: l.timeouts.Attempt, throughput: l.timeouts.Throughput}
	b.timer = time.AfterFunc(limit, func() { cancel(late) })

	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		defer l.gate.leave()
		value, err := attempt(ctx, b)
		b.timer.Stop()
		if err != nil && ctx.Err() != nil {
			// Whatever the library under it made of the end of its context.
			err = ended(ctx, late)
		}
		done <- outcome{value, err}
		cancel(nil)
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		// The attempt ends its context when it is done, so look there first.
		select {
		case o := <-done:
			return o.value, o.err
		default:
		}
		return zero, ended(ctx, late)
	}
}

// ended is the outcome of an attempt whose context is over. If only its own
// time was up and not its caller's, another attempt may do better.
func ended(ctx context.Context, late error) error {
	cause := context.Cause(ctx)
	return &failure{kind: ErrUnavailable, cause: cause, retry: errors.Is(cause, late)}
}
