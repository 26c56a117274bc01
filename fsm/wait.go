package fsm

import (
	"container/heap"
	"context"
	"sync"
)

// waiters are those who wait for an index, the lowest first, so that applying a
// batch wakes exactly those who have reached theirs.
type waiters struct {
	mu     sync.Mutex
	queue  waitQueue
	failed error
}

type waiter struct {
	index uint64
	// done gets nil or the reason why the index will not be reached.
	done chan error
	// place in the queue; -1 once it is out.
	place int
}

// add returns nil where reached says that the index is there by now.
func (w *waiters) add(index uint64, reached func() bool) (*waiter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != nil {
		return nil, w.failed
	}
	// Asked under the lock that wake takes after it has published an index: either
	// the index is seen here or the waiter is seen there.
	if reached() {
		return nil, nil
	}
	wt := &waiter{index: index, done: make(chan error, 1)}
	heap.Push(&w.queue, wt)
	return wt, nil
}

func (w *waiters) remove(wt *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if wt.place >= 0 {
		heap.Remove(&w.queue, wt.place)
	}
}

func (w *waiters) wake(index uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > 0 && w.queue[0].index <= index {
		heap.Pop(&w.queue).(*waiter).done <- nil
	}
}

// fail wakes everybody, now and later.
func (w *waiters) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = err
	}
	for len(w.queue) > 0 {
		heap.Pop(&w.queue).(*waiter).done <- w.failed
	}
}

// WaitApplied returns once the entry at index has been applied. An index that is
// applied already costs one atomic load.
func (m *Machine) WaitApplied(ctx context.Context, index uint64) error {
	reached := func() bool { return m.pos.Load().index >= index }
	if reached() {
		return nil
	}
	wt, err := m.waiters.add(index, reached)
	if err != nil || wt == nil {
		return err
	}
	select {
	case err := <-wt.done:
		return err
	case <-ctx.Done():
		m.waiters.remove(wt)
		return ctx.Err()
	}
}

// waitQueue is a heap.Interface.
type waitQueue []*waiter

func (q waitQueue) Len() int           { return len(q) }
func (q waitQueue) Less(i, j int) bool { return q[i].index < q[j].index }
func (q waitQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *waitQueue) Push(x any) {
	wt := x.(*waiter)
	wt.place = len(*q)
	*q = append(*q, wt)
}

func (q *waitQueue) Pop() any {
	old := *q
	last := len(old) - 1
	wt := old[last]
	old[last] = nil
	*q = old[:last]
	wt.place = -1
	return wt
}
