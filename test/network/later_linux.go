package network

import (
	"container/heap"
	"sync"
	"time"
)

// later does things at their time; those for the same time in the order in which
// they were added.
type later struct {
	mu     sync.Mutex
	queue  queue
	added  uint64
	wake   chan struct{}
	closed chan struct{}
}

type item struct {
	at    time.Time
	order uint64
	do    func()
}

func newLater() *later {
	l := &later{wake: make(chan struct{}, 1), closed: make(chan struct{})}
	go l.run()
	return l
}

func (l *later) add(at time.Time, do func()) {
	l.mu.Lock()
	l.added++
	heap.Push(&l.queue, item{at, l.added, do})
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *later) close() { close(l.closed) }

func (l *later) run() {
	for {
		due, wait := l.due(time.Now())
		for _, do := range due {
			do()
		}
		var timer <-chan time.Time
		if wait > 0 {
			timer = time.After(wait)
		}
		select {
		case <-timer:
		case <-l.wake:
		case <-l.closed:
			return
		}
	}
}

// due takes what is to be done now, and says how long it is until the next; 0 is
// that there is none.
func (l *later) due(now time.Time) (due []func(), wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 {
		if wait := l.queue[0].at.Sub(now); wait > 0 {
			return due, wait
		}
		due = append(due, heap.Pop(&l.queue).(item).do)
	}
	return due, 0
}

// queue is a heap by time.
type queue []item

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(item)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
