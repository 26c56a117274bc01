package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrUnavailable is returned when a change can't be put on record, and so must not
// be made.
var ErrUnavailable = errors.New("audit: the change can't be put on record")

// Log takes records, and gives them to all sinks, each in a chain of its own.
type Log struct {
	opts    Options
	writers []*writer
	failed  *failures
	kept    kept // the sink that older records are looked for in, or nil
	looksAt int  // how much of it for one answer
	end     sync.Once
	ending  chan struct{}
	ended   chan struct{}

	verifying sync.Mutex

	mu     sync.Mutex
	last   time.Time // of the last record
	recent *ring
	closed bool
}

// Open begins a log. What its sinks still have of earlier processes goes on.
func Open(opts Options) (*Log, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	l := &Log{
		opts: opts, recent: newRing(opts.Recent), failed: newFailures(), looksAt: maxLookedAt,
		ending: make(chan struct{}), ended: make(chan struct{}),
	}
	var chains []*chain
	for _, sink := range opts.Sinks {
		c, err := newChain()
		if err != nil {
			return nil, err
		}
		if k, ok := sink.(kept); ok {
			c.seq, c.prev = k.last()
			if err := l.remember(k); err != nil {
				return nil, err
			}
		}
		w := &writer{
			sink: sink, observer: opts.Observer, logger: opts.Logger, own: l.own,
			wake: make(chan struct{}, 1), done: make(chan struct{}), givenUp: make(chan struct{}),
			reached: Mark{Sink: sink.Name(), Run: c.run, First: c.seq + 1},
		}
		l.writers = append(l.writers, w)
		chains = append(chains, &c)
	}
	for i, w := range l.writers {
		go w.run(chains[i])
	}
	l.Note(Record{Event: Begin, Reason: opts.Version})
	go l.tellFailures()
	return l, nil
}

// remember takes what an earlier process left into memory.
func (l *Log) remember(k kept) error {
	if l.kept != nil {
		return nil
	}
	l.kept = k
	lines, err := k.tail(maxRecentBytes)
	if err != nil {
		return err
	}
	for _, raw := range lines {
		// What is none tells its tale when the log is verified.
		if line, err := ParseLine(raw); err == nil && line.Node == l.opts.Node {
			l.recent.add(raw)
			if line.Time.After(l.last) {
				l.last = line.Time
			}
		}
	}
	return nil
}

// Note takes a record and waits for nothing.
func (l *Log) Note(r Record) {
	// Where a sink can't take it, that is counted and seen.
	_ = l.put(r, nil)
}

// NoteFailure takes a record of a failure to tell who asks. Of many from one address
// only the first are written one by one, so that a stranger can't fill the log.
func (l *Log) NoteFailure(r Record) {
	r.Event, r.Decision = Authentication, Deny
	if l.failed.single(r, l.opts.Now()) {
		l.Note(r)
	}
}

// Ensure takes a record of a change that is about to be made. It returns an error
// that is ErrUnavailable where the change must not be made, because the record is
// not written and the log is to refuse changes then.
func (l *Log) Ensure(ctx context.Context, r Record) error {
	if l.opts.OnFailure != Refuse {
		l.Note(r)
		return nil
	}
	trouble := l.Trouble()
	written := make(chan error, len(l.writers)) // nobody waits to tell
	if err := l.put(r, written); err != nil {
		return l.refuse(err)
	}
	if len(trouble) > 0 {
		// Waiting for each change would only pile them up.
		return l.refuse(trouble[0])
	}
	timer := time.NewTimer(l.opts.Patience)
	defer timer.Stop()
	for range l.writers {
		select {
		case err := <-written:
			if err != nil {
				return l.refuse(err)
			}
		case <-timer.C:
			return l.refuse(errors.New("it takes too long"))
		case <-ctx.Done():
			return l.refuse(ctx.Err())
		}
	}
	return nil
}

func (l *Log) refuse(err error) error {
	l.opts.Observer.refused()
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// put gives a record to all writers, in one order.
func (l *Log) put(r Record, written chan<- error) error {
	l.opts.Observer.recorded(r.Event)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed
	}
	e := entry{record: l.stamp(&r), written: written}
	var errs []error
	for _, w := range l.writers {
		if err := w.add(e); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", w.sink.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// stamp gives a record its time and node, and keeps it. l.mu is held.
func (l *Log) stamp(r *Record) []byte {
	now := l.opts.Now().UTC().Round(0)
	if !now.After(l.last) {
		now = l.last.Add(1)
	}
	l.last = now
	r.Time, r.Node = now, l.opts.Node
	raw := appendRecord(append(make([]byte, 0, 512), '{'), r)
	l.recent.add(raw)
	return raw[1:]
}

// own is a record of the log itself, as it goes into a line.
func (l *Log) own(r Record) []byte {
	l.opts.Observer.recorded(r.Event)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stamp(&r)
}

// tellFailures writes down now and then what NoteFailure did not.
func (l *Log) tellFailures() {
	defer close(l.ended)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, r := range l.failed.over(l.opts.Now()) {
				l.Note(r)
			}
		case <-l.ending:
			for _, r := range l.failed.all() {
				l.Note(r)
			}
			return
		}
	}
}

// Reopen has all sinks open their places again.
func (l *Log) Reopen() {
	for _, w := range l.writers {
		w.askReopen()
	}
}

// Trouble is what is wrong with sinks, one error each.
func (l *Log) Trouble() []error {
	var out []error
	now := time.Now()
	for _, w := range l.writers {
		if err := w.trouble(now); err != nil {
			out = append(out, fmt.Errorf("%s: %w", w.sink.Name(), err))
		}
	}
	return out
}

// SinkStatus is how it stands with a sink.
type SinkStatus struct {
	Sink string
	// Trouble is what is wrong with it, or nil.
	Trouble error
	// Waiting is how many records it has not taken yet, Lost how many it never will.
	Waiting int
	Lost    uint64
}

// Status is how it stands with all sinks.
func (l *Log) Status() []SinkStatus {
	out := make([]SinkStatus, 0, len(l.writers))
	now := time.Now()
	for _, w := range l.writers {
		s := SinkStatus{Sink: w.sink.Name(), Trouble: w.trouble(now)}
		w.mu.Lock()
		s.Waiting, s.Lost = len(w.queue), w.health.lost
		w.mu.Unlock()
		out = append(out, s)
	}
	return out
}

// Marks are where the chains stand for certain.
func (l *Log) Marks() []Mark {
	out := make([]Mark, 0, len(l.writers))
	for _, w := range l.writers {
		w.mu.Lock()
		if m := w.synced; m.Seq > 0 {
			out = append(out, m)
		}
		w.mu.Unlock()
	}
	return out
}

// Close writes what waits, and closes the sinks. What a sink does not take in the time
// that a change would wait for it, or until ctx ends, is lost.
func (l *Log) Close(ctx context.Context) error {
	l.end.Do(func() { close(l.ending) })
	<-l.ended
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.opts.Observer.recorded(End)
	last := entry{record: l.stamp(&Record{Event: End})}
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, l.opts.Patience)
	defer cancel()
	errs := make([]error, len(l.writers))
	var all sync.WaitGroup
	for i, w := range l.writers {
		all.Go(func() { errs[i] = w.close(ctx, last) })
	}
	all.Wait()
	return errors.Join(errs...)
}
