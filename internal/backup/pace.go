package backup

import (
	"context"
	"io"
	"time"
)

// pacer makes long work take its time, so that what the cluster is there for
// hardly notices it: whatever a piece of the work took, a pause follows that is
// restFactor times as long. On a machine that is busy pieces take longer, and so
// do the pauses.
type pacer struct {
	ctx  context.Context
	last time.Time // the end of the last pause
}

const (
	// restFactor makes a snapshot take an eighth of one core.
	restFactor = 7
	// minRest is below what is worth a timer; it adds up until it is.
	minRest = 2 * time.Millisecond
	// maxRest bounds what one slow piece costs: a machine that slept is not paid back.
	maxRest = time.Second
)

func newPacer(ctx context.Context) *pacer { return &pacer{ctx: ctx, last: time.Now()} }

// rest pauses for the work since the last pause, without what was left out of it.
func (p *pacer) rest() error {
	pause := min(time.Since(p.last)*restFactor, maxRest)
	if pause < minRest {
		return p.ctx.Err()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
	p.last = time.Now()
	return nil
}

// skip leaves out of the work what was spent since start.
func (p *pacer) skip(start time.Time) { p.last = p.last.Add(time.Since(start)) }

// pacedWriter pauses before each write; what the write itself takes is not work.
type pacedWriter struct {
	w     io.Writer
	pacer *pacer
}

func (v *Vault) pacedWriter(ctx context.Context, w io.Writer) io.Writer {
	if v.opts.Hurry {
		return w
	}
	return &pacedWriter{w, newPacer(ctx)}
}

// Write implements io.Writer.
func (w *pacedWriter) Write(p []byte) (int, error) {
	if err := w.pacer.rest(); err != nil {
		return 0, err
	}
	defer w.pacer.skip(time.Now())
	return w.w.Write(p)
}

// pacedReader pauses before each read; what the read itself takes is work too,
// where it is not waiting for the store.
type pacedReader struct {
	r     io.Reader
	pacer *pacer
}

// pacedReader reads what is in an object, watched.
func (v *Vault) pacedReader(ctx context.Context, r io.Reader, m *Manifest, phase Phase, watch Watch) io.Reader {
	if !v.opts.Hurry {
		r = &pacedReader{r, newPacer(ctx)}
	}
	// What comes out is as long as the object, but for the frame of its encryption.
	return &watchedReader{r: r, tell: func(done int64) { watch.tell(phase, min(done, m.Bytes), m.Bytes) }}
}

// Read implements io.Reader.
func (r *pacedReader) Read(p []byte) (int, error) {
	if err := r.pacer.rest(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// watchedReader tells how much was read.
type watchedReader struct {
	r    io.Reader
	done int64
	tell func(done int64)
}

// Read implements io.Reader.
func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.done += int64(n)
	r.tell(r.done)
	return n, err
}
