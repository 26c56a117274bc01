package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/archive"
	"github.com/floeberg/floeberg/internal/backup"
)

// content is what was found in the state that is restored.
type content struct {
	header     fsm.Header
	warehouses map[string]bool
	tables     uint64 // and views
}

func (c *content) see(key []byte) error {
	switch state.Space(key[0]) {
	case state.SpaceWarehouse:
		name, err := state.WarehouseName(key)
		if err != nil {
			return fmt.Errorf("a warehouse in the snapshot: %w", err)
		}
		c.warehouses[name] = true
	case state.SpaceTable, state.SpaceView:
		c.tables++
	default:
	}
	return nil
}

// watch is told how far reading has come.
type watch struct {
	// read is of the snapshot's object, in bytes.
	read func(bytes int64)
	// entries is how many entries of the log were applied, and the last one's index.
	entries func(n, index uint64)
}

// write writes the stream of the state that was asked for.
func (p *plan) write(ctx context.Context, w io.Writer, scratch string, see watch) (*content, error) {
	c := &content{warehouses: make(map[string]bool)}
	stream, err := p.vault.Read(ctx, p.snapshot)
	if err != nil {
		return nil, err
	}
	counted := &countingReader{r: stream, tell: see.read}
	if !p.request.pointInTime() {
		// What is checked on the way is what is written.
		c.header, err = fsm.ReadSnapshot(io.TeeReader(counted, w), func(key, _ []byte) error { return c.see(key) })
		return c, errors.Join(p.explain(err), stream.Close())
	}
	return c, p.replay(ctx, c, &closing{counted, stream}, w, scratch, see)
}

func (p *plan) explain(err error) error {
	switch {
	case errors.Is(err, fsm.ErrBadSnapshot):
		return fmt.Errorf("%w: %s: %w", backup.ErrDamaged, p.snapshot.ID, err)
	case errors.Is(err, fsm.ErrNewerFormat):
		return fmt.Errorf("%w: %s: %w", backup.ErrNewerFormat, p.snapshot.ID, err)
	}
	return err
}

// replay makes the state of the point in a machine of its own, in a folder that it
// removes, and writes that.
func (p *plan) replay(ctx context.Context, c *content, snapshot io.ReadCloser, w io.Writer, scratch string, see watch) (err error) {
	if err := os.RemoveAll(scratch); err != nil {
		return fmt.Errorf("the folder for the replayed state: %w", err)
	}
	// It stays small: it is in the way of the node's own state.
	const cacheBytes = 8 << 20
	machine, err := fsm.Open(fsm.Options{Dir: scratch, CacheBytes: cacheBytes, Halt: func(error) {}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, machine.Close(), os.RemoveAll(scratch)) }()
	if err := machine.Restore(snapshot); err != nil {
		return p.explain(err)
	}
	if err := p.advance(ctx, machine, see); err != nil {
		return err
	}
	view, err := machine.View()
	if err != nil {
		return err
	}
	for _, space := range []state.Space{state.SpaceWarehouse, state.SpaceTable, state.SpaceView} {
		var seen error
		err := view.Scan(state.SpaceRange(space), func(key []byte, _ state.Value) bool {
			seen = c.see(key)
			return seen == nil
		})
		if err := errors.Join(err, seen); err != nil {
			view.Close()
			return err
		}
	}
	view.Close()
	c.header, err = machine.WriteSnapshot(w)
	return err
}

// advance applies the archived log up to the point that was asked for.
func (p *plan) advance(ctx context.Context, machine *fsm.Machine, see watch) error {
	q := p.request
	index, term := machine.Applied()
	if q.ToIndex > 0 && q.ToIndex <= index {
		return nil
	}
	applied, reached := uint64(0), false
	for run, err := range p.archive.After(ctx, archive.Position{Index: index, Term: term}) {
		if err != nil {
			return fmt.Errorf("the log from entry %d on: %w", index+1, err)
		}
		n, err := q.until(run)
		if err != nil {
			return err
		}
		reached = n < len(run)
		if err := machine.Replay(run[:n]); err != nil {
			return err
		}
		if n > 0 {
			index = run[n-1].Index
		}
		applied += uint64(n)
		see.entries(applied, index)
		reached = reached || q.ToIndex > 0 && index >= q.ToIndex
		if reached {
			break
		}
	}
	ms, _ := machine.TimeMs()
	if reached || q.ToEnd || !q.ToTime.IsZero() && ms >= uint64(q.ToTime.UnixMilli()) {
		return nil
	}
	return fmt.Errorf("%w: the archived log ends at index %d", ErrOutOfRange, index)
}

// until counts the entries that are not after the point.
func (r *Request) until(run []fsm.Entry) (int, error) {
	for i, e := range run {
		if r.ToIndex > 0 && e.Index > r.ToIndex {
			return i, nil
		}
		if r.ToTime.IsZero() {
			continue
		}
		ms, err := e.TimeMs()
		if err != nil {
			return 0, fmt.Errorf("entry %d: %w", e.Index, err)
		}
		if ms > uint64(r.ToTime.UnixMilli()) {
			return i, nil
		}
	}
	return len(run), nil
}

type closing struct {
	io.Reader
	io.Closer
}

type countingReader struct {
	r    io.Reader
	n    int64
	tell func(int64)
}

// Read implements io.Reader.
func (r *countingReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.n += int64(n)
	r.tell(r.n)
	return n, err
}
