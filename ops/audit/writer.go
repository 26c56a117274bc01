package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxQueued and maxQueuedBytes bound what waits for a sink: some seconds of a busy
	// catalog.
	maxQueued      = 8192
	maxQueuedBytes = 16 << 20
	// maxBatch is how many records are written at a time.
	maxBatch = 256
	// A sink that failed is tried again after a while, which grows.
	firstPause, longestPause = 100 * time.Millisecond, 2 * time.Second
	// stuckAfter is how long a write takes when something is wrong with the sink.
	stuckAfter = time.Second
	// syncEvery is how long a line may be only in the machine's memory.
	syncEvery = time.Second
)

// entry is a record on its way to a sink.
type entry struct {
	record []byte // as appendRecord wrote it
	// written is told once what became of it; nil is nobody's business.
	written chan<- error
}

// writer has a sink of its own, and a queue, so that none waits for another.
type writer struct {
	sink     Sink
	observer Observer
	logger   *slog.Logger
	own      func(Record) []byte // makes a record of the log itself
	wake     chan struct{}       // has one place
	done     chan struct{}
	givenUp  chan struct{} // closed when the sink is waited for no longer

	mu     sync.Mutex
	queue  []entry
	bytes  int
	lost   uint64 // since the last line
	closed bool
	reopen bool
	health health
	// reached is where the chain stands, synced what of it a crash can't take back.
	reached, synced Mark
}

// health is how it stands with a sink.
type health struct {
	err   error     // of the last attempt; nil where it did not fail
	since time.Time // when the attempt under way began; zero where there is none
	lost  uint64    // in all
}

// Mark is where a chain stands.
type Mark struct {
	// Sink is the name of the sink whose lines these are.
	Sink string
	// Run is the process that wrote, First its first line.
	Run   string
	First uint64
	// Seq and Hash are of the last line that is certainly there.
	Seq  uint64
	Hash Hash
	// Kept is the oldest line that is there, of this run or of one before; 0 is not
	// known. Older ones were deleted as the settings say.
	Kept uint64
}

var (
	errFull    = errors.New("too many records wait for it")
	errClosed  = errors.New("the audit log is closed")
	errGivenUp = errors.New("the sink did not take it before the end")
)

// add puts a record into the queue.
func (w *writer) add(e entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return errClosed
	case len(w.queue) >= maxQueued || w.bytes+len(e.record) > maxQueuedBytes:
		w.lose(1)
		return errFull
	}
	w.queue = append(w.queue, e)
	w.bytes += len(e.record)
	w.kick()
	return nil
}

// lose counts what no line will tell of one by one. w.mu is held.
func (w *writer) lose(n uint64) {
	w.lost += n
	w.health.lost += n
	w.observer.lost(w.sink.Name(), n)
}

func (w *writer) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// trouble is what is wrong with the sink, or nil.
func (w *writer) trouble(now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.health.err != nil:
		return w.health.err
	case !w.health.since.IsZero() && now.Sub(w.health.since) > stuckAfter:
		return fmt.Errorf("a write has been under way for %s", now.Sub(w.health.since).Round(time.Second))
	}
	return nil
}

// run writes until the log is closed and the queue is empty, or given up.
func (w *writer) run(c *chain) {
	defer close(w.done)
	sync := time.NewTicker(syncEvery)
	defer sync.Stop()
	dirty := false
	for {
		w.reopenIfAsked()
		batch, closed := w.take()
		if len(batch) > 0 {
			w.write(c, batch)
			dirty = true
			continue
		}
		if closed {
			w.sync()
			return
		}
		select {
		case <-w.wake:
		case <-sync.C:
			if dirty {
				dirty = !w.sync()
			}
		}
	}
}

// sync makes sure of what was written.
func (w *writer) sync() bool {
	if err := w.attempt(w.sink.Sync); err != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.synced = w.reached
	if k, ok := w.sink.(kept); ok {
		w.synced.Kept = k.first()
	}
	return true
}

// take takes what is to be written next.
func (w *writer) take() (batch []entry, closed bool) {
	w.mu.Lock()
	lost, waiting := w.lost, len(w.queue) > 0
	if waiting {
		w.lost = 0
	}
	w.mu.Unlock()
	if lost > 0 && waiting {
		// In the chain, about where those would have been that are lost.
		batch = append(batch, entry{record: w.own(Record{Event: Lost, Reason: w.sink.Name(), Count: lost})})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), maxBatch)
	for _, e := range w.queue[:n] {
		w.bytes -= len(e.record)
	}
	batch = append(batch, w.queue[:n]...)
	if w.queue = w.queue[n:]; len(w.queue) == 0 {
		w.queue = nil
	}
	return batch, w.closed
}

// write writes a batch, however often that has to be tried.
func (w *writer) write(c *chain, batch []entry) {
	var lines []byte
	for _, e := range batch {
		lines = append(lines, c.link(e.record)...)
	}
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		w.reopenIfAsked()
		err := w.attempt(func() error { return w.sink.Write(lines) })
		if err == nil {
			break
		}
		select {
		case <-w.givenUp:
			w.tell(batch, fmt.Errorf("%w: %w", errGivenUp, err))
			w.mu.Lock()
			w.lose(uint64(len(batch)))
			w.mu.Unlock()
			return
		case <-time.After(pause):
		}
	}
	w.mu.Lock()
	w.reached.Seq, w.reached.Hash = c.seq, c.prev
	w.mu.Unlock()
	w.tell(batch, nil)
}

func (w *writer) tell(batch []entry, err error) {
	for _, e := range batch {
		if e.written != nil {
			e.written <- err
		}
	}
}

// attempt does something to the sink, and notes how that went.
func (w *writer) attempt(do func() error) error {
	begun := time.Now()
	w.mu.Lock()
	w.health.since = begun
	w.mu.Unlock()
	err := do()
	w.mu.Lock()
	was := w.health.err
	w.health.err, w.health.since = err, time.Time{}
	w.mu.Unlock()
	w.observer.wrote(w.sink.Name(), time.Since(begun), err)
	switch {
	case err != nil && was == nil:
		w.logger.Error("the audit log can't be written", slog.String("sink", w.sink.Name()), slog.Any("error", err))
	case err == nil && was != nil:
		w.logger.Info("the audit log can be written again", slog.String("sink", w.sink.Name()))
	}
	return err
}

func (w *writer) askReopen() {
	w.mu.Lock()
	w.reopen = true
	w.mu.Unlock()
	w.kick()
}

func (w *writer) reopenIfAsked() {
	w.mu.Lock()
	asked := w.reopen
	w.reopen = false
	w.mu.Unlock()
	if asked {
		// What fails here fails again with the next write, and is told of then.
		_ = w.attempt(w.sink.Reopen)
	}
}

// close ends the writer: what waits is still written, as long as ctx lasts. A sink
// that hangs in the midst of a write is left behind.
func (w *writer) close(ctx context.Context, last entry) error {
	w.mu.Lock()
	w.queue = append(w.queue, last)
	w.closed = true
	w.mu.Unlock()
	w.kick()
	select {
	case <-w.done:
	case <-ctx.Done():
		close(w.givenUp)
		select {
		case <-w.done:
		case <-time.After(stuckAfter):
			return fmt.Errorf("audit log: %s takes nothing: %w", w.sink.Name(), ctx.Err())
		}
	}
	w.mu.Lock()
	err := w.health.err
	w.mu.Unlock()
	return errors.Join(err, w.sink.Close())
}
