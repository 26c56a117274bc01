package catalog

import (
	"bytes"
	"context"
	"slices"
	"sync"
)

// queues lets holders of one name pass one at a time, so that changes of one
// entity on one node wait for each other instead of undoing each other's work.
// Order between nodes is the log's.
type queues struct {
	maxWaiters int

	mu     sync.Mutex
	byName map[string]*queue
}

type queue struct {
	turn  chan struct{} // holds one token while nobody is inside
	users int           // inside or waiting
}

func newQueues(maxWaiters int) *queues {
	return &queues{maxWaiters: maxWaiters, byName: make(map[string]*queue)}
}

// enter waits for the name's turn. The returned function gives the turn on.
func (q *queues) enter(ctx context.Context, name string) (leave func(), err error) {
	q.mu.Lock()
	own, ok := q.byName[name]
	if !ok {
		own = &queue{turn: make(chan struct{}, 1)}
		own.turn <- struct{}{}
		q.byName[name] = own
	}
	if own.users > q.maxWaiters {
		q.mu.Unlock()
		return nil, refuse(KindBusy, "Too many changes of the same entity are waiting; try again")
	}
	own.users++
	q.mu.Unlock()

	select {
	case <-own.turn:
		return func() { own.turn <- struct{}{}; q.done(name, own) }, nil
	case <-ctx.Done():
		q.done(name, own)
		return nil, refuseBecause(KindUnavailable, ctx.Err(), "Other changes of the same entity took too long; nothing was changed")
	}
}

// enterAll waits for the turn of each name, in the order of the names whatever
// order they are given in: two that want the same names can't wait for each other.
func (q *queues) enterAll(ctx context.Context, names [][]byte) (leave func(), err error) {
	names = slices.CompactFunc(slices.SortedFunc(slices.Values(names), bytes.Compare), bytes.Equal)
	leaves := make([]func(), 0, len(names))
	leave = func() {
		for _, l := range slices.Backward(leaves) {
			l()
		}
	}
	for _, name := range names {
		l, err := q.enter(ctx, string(name))
		if err != nil {
			leave()
			return nil, err
		}
		leaves = append(leaves, l)
	}
	return leave, nil
}

func (q *queues) done(name string, own *queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	own.users--
	if own.users == 0 {
		delete(q.byName, name)
	}
}
