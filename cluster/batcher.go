package cluster

import (
	"context"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
)

const (
	// maxBatch and maxBatchBytes bound one log entry and one call to the leader.
	// Entries above half a mebibyte hold up the log; one transaction may be larger
	// and goes alone.
	maxBatch      = 64
	maxBatchBytes = 512 << 10
	// entriesInFlight is how many entries a leader has in the log at once: while
	// one is synced the next one fills.
	entriesInFlight = 2
	// callsInFlight is how many batches a follower has at the leader at once: as
	// many as there are entries. With more, batches get smaller and writes fewer.
	callsInFlight = 2
)

// proposal is a transaction on its way.
type proposal struct {
	tx        *command.Transaction
	size      int
	requestID string
	again     bool // an earlier attempt may have got into a log

	state atomic.Int32
	done  chan *Verdict
}

const (
	waiting int32 = iota
	taken
	abandoned
)

func newProposal(tx *command.Transaction, requestID string) *proposal {
	return &proposal{tx: tx, size: proto.Size(tx), requestID: requestID, done: make(chan *Verdict, 1)}
}

func fate(f Verdict_Fate) *Verdict { return &Verdict{Fate: f} }

// batcher lets proposals wait in a bounded queue and hands them on in batches.
// It never waits for a batch to fill: a batch is what has come while all slots
// were taken, so that one client alone is served at once and many share.
type batcher struct {
	deliver  func([]*proposal)
	maxBytes int64
	queue    chan *proposal
	bytes    atomic.Int64
	slots    chan struct{}
	stop     chan struct{}
	wg       sync.WaitGroup

	mu     sync.RWMutex
	closed bool
}

func newBatcher(length, maxBytes, slots int, deliver func([]*proposal)) *batcher {
	b := &batcher{
		deliver: deliver, maxBytes: int64(maxBytes),
		queue: make(chan *proposal, length),
		slots: make(chan struct{}, slots),
		stop:  make(chan struct{}),
	}
	b.wg.Add(1)
	go b.run()
	return b
}

// submit enqueues a proposal and waits for the verdict. Where the context ends
// first, the proposal is withdrawn, if it was not taken yet.
func (b *batcher) submit(ctx context.Context, p *proposal) *Verdict {
	if !b.enqueue(p) {
		return fate(Verdict_FATE_BUSY)
	}
	return b.await(ctx, p)
}

// await waits for the verdict on what was enqueued.
func (b *batcher) await(ctx context.Context, p *proposal) *Verdict {
	select {
	case v := <-p.done:
		return v
	case <-ctx.Done():
	}
	if p.state.CompareAndSwap(waiting, abandoned) {
		return fate(Verdict_FATE_NOT_PROPOSED)
	}
	select {
	case v := <-p.done: // it came at the same moment
		return v
	default:
		return fate(Verdict_FATE_UNKNOWN)
	}
}

func (b *batcher) enqueue(p *proposal) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		p.done <- fate(Verdict_FATE_NOT_PROPOSED)
		return true
	}
	if b.bytes.Add(int64(p.size)) > b.maxBytes {
		b.bytes.Add(int64(-p.size))
		return false
	}
	select {
	case b.queue <- p:
		return true
	default:
		b.bytes.Add(int64(-p.size))
		return false
	}
}

// waiting is how many proposals are in the queue.
func (b *batcher) waiting() int { return len(b.queue) }

func (b *batcher) run() {
	defer b.wg.Done()
	var held *proposal
	for {
		select {
		case b.slots <- struct{}{}:
		case <-b.stop:
			b.refuse(held)
			return
		}
		first := held
		if first == nil {
			select {
			case first = <-b.queue:
			case <-b.stop:
				return
			}
		}
		var batch []*proposal
		batch, held = b.fill(first)
		if len(batch) == 0 {
			<-b.slots
			continue
		}
		b.wg.Add(1)
		go func() {
			defer b.wg.Done()
			defer func() { <-b.slots }()
			b.deliver(batch)
		}()
	}
}

// fill takes what is queued, up to the bounds; held is one that did not fit.
func (b *batcher) fill(first *proposal) (batch []*proposal, held *proposal) {
	size := 0
	for next := first; ; {
		if len(batch) > 0 && size+next.size > maxBatchBytes {
			return batch, next
		}
		b.bytes.Add(int64(-next.size))
		if next.state.CompareAndSwap(waiting, taken) {
			batch = append(batch, next)
			size += next.size
		}
		if len(batch) == maxBatch {
			return batch, nil
		}
		select {
		case next = <-b.queue:
		default:
			return batch, nil
		}
	}
}

func (b *batcher) refuse(p *proposal) {
	if p != nil && p.state.CompareAndSwap(waiting, taken) {
		p.done <- fate(Verdict_FATE_NOT_PROPOSED)
	}
}

// close refuses what waits and waits for what is under way.
func (b *batcher) close() {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.closed = true
	b.mu.Unlock()
	close(b.stop)
	b.wg.Wait()
	for {
		select {
		case p := <-b.queue:
			b.refuse(p)
		default:
			return
		}
	}
}
