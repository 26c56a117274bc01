package cluster

import (
	"context"
	"sync"
	"time"
)

// rounds asks one question for all who wait for its answer. Who comes while a
// question is under way shares the next one, never that: its answer may be from
// before they came.
type rounds struct {
	ask     func(context.Context) (uint64, error)
	timeout time.Duration

	mu      sync.Mutex
	next    *round
	running bool
	closed  bool
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

type round struct {
	done  chan struct{}
	index uint64
	err   error
}

func newRounds(timeout time.Duration, ask func(context.Context) (uint64, error)) *rounds {
	ctx, cancel := context.WithCancel(context.Background())
	return &rounds{ask: ask, timeout: timeout, ctx: ctx, cancel: cancel}
}

// join waits for the answer to a question that is asked after now.
func (r *rounds) join(ctx context.Context) (uint64, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return 0, ErrClosed
	}
	if r.next == nil {
		r.next = &round{done: make(chan struct{})}
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
		return mine.index, mine.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (r *rounds) run() {
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
		now.index, now.err = r.ask(ctx)
		cancel()
		close(now.done)
	}
}

func (r *rounds) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
}
