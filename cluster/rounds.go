package cluster

import (
	"context"
	"sync"
	"time"
)

// rounds asks one question for all who wait for its answer. Who comes while a
// question is under way shares the next one, never that: its answer may be from
// before they came.
type rounds[T any] struct {
	ask     func(context.Context) (T, error)
	timeout time.Duration

	mu      sync.Mutex
	next    *round[T]
	running bool
	closed  bool
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

type round[T any] struct {
	done   chan struct{}
	answer T
	err    error
}

func newRounds[T any](timeout time.Duration, ask func(context.Context) (T, error)) *rounds[T] {
	ctx, cancel := context.WithCancel(context.Background())
	return &rounds[T]{ask: ask, timeout: timeout, ctx: ctx, cancel: cancel}
}

// join waits for the answer to a question that is asked after now.
func (r *rounds[T]) join(ctx context.Context) (answer T, err error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return answer, ErrClosed
	}
	if r.next == nil {
		r.next = &round[T]{done: make(chan struct{})}
	}
	mine := r.next
	if !r.running {
		r.running = true
		r.wg.Add(1)
		go r.run()
	}
	r.mu.Unlock()
	select {
	case <-mine.done:
		return mine.answer, mine.err
	case <-ctx.Done():
		return answer, ctx.Err()
	}
}

func (r *rounds[T]) run() {
	defer r.wg.Done()
	for {
		r.mu.Lock()
		now := r.next
		r.next = nil
		if now == nil {
			r.running = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		ctx, cancel := context.WithTimeout(r.ctx, r.timeout)
		now.answer, now.err = r.ask(ctx)
		cancel()
		close(now.done)
	}
}

func (r *rounds[T]) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
}
