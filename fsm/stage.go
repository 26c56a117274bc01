package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// restore has the batch go on upon the store that a transaction puts in the place
// of this one. It tells whether there is such a store: the stream may be damaged.
func (b *batch) restore(t *command.Transaction) (ok bool, err error) {
	next, pos, err := b.staging.store(b.rows, b.pos.timeMs, t.GetRestore())
	if errors.Is(err, ErrBadSnapshot) || errors.Is(err, ErrNewerCommands) {
		// The same on every node: the stream is in the state, and no node knows only
		// versions that are older than the one in use.
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if pos.version > b.pos.version {
		// What is to be used is raised by a command of its own, once all members know it.
		return false, b.staging.machine.discard(next)
	}
	rows := b.rows
	b.next, b.rows = next, next.db.NewIndexedBatch()
	if decided, _, err := b.recall(t.GetId()); err != nil || decided {
		// No snapshot can know of a transaction that comes after it.
		err = errors.Join(err, b.rows.Close(), b.staging.machine.discard(next))
		b.next, b.rows = nil, rows
		return false, err
	}
	b.before = pos
	b.pos.sum = pos.sum
	b.pos.revision = max(b.pos.revision, pos.revision) + restoreRevisions
	b.pos.timeMs = max(b.pos.timeMs, pos.timeMs)
	b.pos.events = pos.events
	// Nothing is known of what expires in it.
	b.nextExpiry = 0
	err = b.keepIdentities(rows)
	if e := rows.Close(); e != nil {
		err = errors.Join(err, fmt.Errorf("close batch: %w", e))
	}
	return true, err
}

// keepIdentities takes over from the state before which transactions were decided
// how: whoever asks again must get the first answer.
func (b *batch) keepIdentities(from *pebble.Batch) (err error) {
	it, err := from.NewIter(spaceRows(state.SpaceExpiry))
	if err != nil {
		return fmt.Errorf("scan the expiry index: %w", err)
	}
	defer func() {
		if e := it.Close(); err == nil && e != nil {
			err = fmt.Errorf("scan the expiry index: %w", e)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		_, key, err := parseExpiryKey(it.Key())
		if err != nil {
			return err
		}
		if len(key) == 0 || key[0] != byte(state.SpaceIdentity) {
			continue
		}
		known, _, err := b.recall(key[1:])
		if err != nil {
			return err
		}
		if known {
			// The snapshot is of this same cluster.
			continue
		}
		raw, closer, err := from.Get(key)
		if err != nil {
			return fmt.Errorf("read key %x: %w", key, err)
		}
		err = errors.Join(b.insert(bytes.Clone(key), bytes.Clone(raw)), closer.Close())
		if err == nil {
			err = b.insert(bytes.Clone(it.Key()), nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func spaceRows(space state.Space) *pebble.IterOptions {
	r := state.SpaceRange(space)
	return &pebble.IterOptions{LowerBound: r.Start, UpperBound: r.End}
}

// staging is where a batch has another store built beside the one that it is for.
type staging struct {
	machine *Machine
	current string
}

// store builds the store that a transaction puts in the place of the one in use,
// of the stream that is in the rows.
func (s staging) store(rows *pebble.Batch, nowMs uint64, r *command.Restore) (_ *store, pos moment, err error) {
	m := s.machine
	it, err := rows.NewIter(&pebble.IterOptions{LowerBound: r.GetStream().GetStart(), UpperBound: r.GetStream().GetEnd()})
	if err != nil {
		return nil, pos, fmt.Errorf("scan from key %x: %w", r.GetStream().GetStart(), err)
	}
	stream := &valueReader{it: it, nowMs: nowMs}
	defer func() {
		if e := it.Close(); e != nil {
			err = errors.Join(err, fmt.Errorf("scan from key %x: %w", r.GetStream().GetStart(), e))
		}
	}()
	header, err := ReadHeader(stream)
	if err != nil {
		return nil, pos, err
	}
	name, err := m.folder.newState(s.current)
	if err != nil {
		return nil, pos, err
	}
	next, pos, err := m.build(name, header, stream)
	if err != nil {
		return nil, pos, errors.Join(err, m.folder.remove(name))
	}
	return next, pos, nil
}

// discard lets go of a store that was built and is not to be used.
func (m *Machine) discard(next *store) error {
	if next == nil {
		return nil
	}
	next.release()
	return m.folder.remove(next.name)
}

// commitRestored puts the store that a transaction asked for in the place of the
// one in use, in one step: before it, a crash leaves the old state, to which the
// log is applied again; after it, the new one.
func (m *Machine) commitRestored(old *store, b *batch) error {
	err := b.rows.Commit(pebble.NoSync)
	if err == nil {
		err = b.next.flush()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("fsm: write the restored state: %w", err), m.discard(b.next))
	}
	if err := m.folder.setCurrent(b.next.name); err != nil {
		// As in Restore: which one counts is not known.
		b.next.release()
		return err
	}
	m.replace(old, b.next, b.pos)
	m.opts.Logger.Info("state restored by an entry of the log", "index", b.pos.index, "term", b.pos.term, "revision", b.pos.revision)
	return nil
}

// valueReader reads the values of live rows, one after the other.
type valueReader struct {
	it      *pebble.Iterator
	nowMs   uint64
	started bool
	rest    []byte
}

var _ io.Reader = (*valueReader)(nil)

// Read implements io.Reader.
func (r *valueReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		ok := false
		if r.started {
			ok = r.it.Next()
		} else {
			ok, r.started = r.it.First(), true
		}
		if !ok {
			if err := r.it.Error(); err != nil {
				return 0, fmt.Errorf("read the stream of a restore: %w", err)
			}
			return 0, io.EOF
		}
		raw, err := r.it.ValueAndErr()
		if err != nil {
			return 0, fmt.Errorf("read the stream of a restore: %w", err)
		}
		v, err := parseValue(raw)
		if err != nil {
			return 0, err
		}
		if v.live(r.nowMs) {
			r.rest = v.data
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
