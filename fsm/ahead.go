package fsm

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// Ahead is what committed entries that are not applied here yet do to the state.
// A follower's own log has to be on its disk before an entry is applied; a read
// does not have to wait for that where the leader says what is in the entry.
type Ahead struct {
	// The rows are what is different at entry to, compared with any entry of from
	// to to.
	from, to uint64
	timeMs   uint64
	rows     []aheadRow // by key
}

// aheadRow is one row as it will be; raw is nil where it goes.
type aheadRow struct{ key, raw []byte }

// Ahead works out what entries do to the state, without applying them. They are
// committed and in order without a gap. It returns nil where there is nothing to
// gain: the entries do not reach from the last applied one on beyond it, one of
// them takes the place of the whole state, or is not known to this program.
func (m *Machine) Ahead(ctx context.Context, entries []Entry) (_ *Ahead, err error) {
	if err := m.applying.take(ctx); err != nil {
		return nil, err
	}
	defer m.applying.give()
	if err := m.failure(); err != nil {
		return nil, err
	}
	s, err := m.acquire()
	if err != nil {
		return nil, err
	}
	defer s.release()

	pos := m.pos.Load()
	if len(entries) == 0 || entries[0].Index > pos.index+1 || entries[len(entries)-1].Index <= pos.index {
		return nil, nil
	}
	b := newBatch(s.db, pos, m.nextExpiry)
	defer func() {
		if e := b.close(); err == nil && e != nil {
			err = e
		}
	}()
	for _, e := range entries {
		if e.Index <= pos.index || raft.LogType(e.Type) != raft.LogCommand {
			continue
		}
		entry, err := command.Decode(e.Data, m.opts.NewestCommand)
		if err != nil || entry.Restores() {
			return nil, nil // whoever applies it says what is wrong with it
		}
		if _, err := b.entry(e.Index, e.Term, entry); err != nil {
			return nil, fmt.Errorf("fsm: look ahead to entry %d: %w", e.Index, err)
		}
	}
	a := &Ahead{from: pos.index, to: entries[len(entries)-1].Index, timeMs: b.pos.timeMs}
	a.rows, err = b.changed()
	return a, err
}

// changed returns the rows that the batch leaves different, by key.
func (b *batch) changed() ([]aheadRow, error) {
	last := make(map[string][]byte)
	operations := b.rows.Reader()
	for {
		kind, key, value, ok, err := operations.Next()
		switch {
		case err != nil:
			return nil, fmt.Errorf("fsm: read batch: %w", err)
		case !ok:
			out := make([]aheadRow, 0, len(last))
			for key, raw := range last {
				out = append(out, aheadRow{[]byte(key), raw})
			}
			slices.SortFunc(out, func(x, y aheadRow) int { return bytes.Compare(x.key, y.key) })
			return out, nil
		case kind == pebble.InternalKeyKindDelete:
			last[string(key)] = nil
		case kind == pebble.InternalKeyKindSet:
			// Not nil where it is empty, as in the expiry index.
			last[string(key)] = append([]byte{}, value...)
		default:
			return nil, fmt.Errorf("fsm: a batch with an operation of kind %v", kind)
		}
	}
}

// ViewAhead returns the state as View will do once the entries are applied that a
// was made of, or later. ok is false where the state has gone back before them:
// then only waiting helps. The caller closes the view.
func (m *Machine) ViewAhead(a *Ahead) (v *state.View, ok bool, err error) {
	h, err := m.hold()
	if err != nil {
		return nil, false, err
	}
	switch {
	case h.pos.index >= a.to:
		return h.view(), true, nil
	case h.pos.index < a.from:
		h.release()
		return nil, false, nil
	}
	r := &reader{snap: h.snap, ahead: a, nowMs: a.timeMs}
	return state.NewView(r, a.to, a.timeMs, h.release), true, nil
}

// place is where a key is among the rows, or would be.
func (a *Ahead) place(key []byte) (int, bool) {
	return slices.BinarySearchFunc(a.rows, key, func(row aheadRow, key []byte) int { return bytes.Compare(row.key, key) })
}

// get returns the row under key; known is false where the state's own counts.
func (a *Ahead) get(key []byte) (raw []byte, known bool) {
	if i, known := a.place(key); known {
		return a.rows[i].raw, true
	}
	return nil, false
}

// scan is scanLive, with the rows in place of the state's.
func (a *Ahead) scan(r pebble.Reader, rng state.KeyRange, fn func(key []byte, v storedValue) bool) error {
	if bytes.Compare(rng.Start, rng.End) >= 0 {
		return nil
	}
	first, _ := a.place(rng.Start)
	last, _ := a.place(rng.End)
	rows := a.rows[first:last]
	var failed error
	ended := false // by a failure too
	// next hands over the first row.
	next := func() {
		row := rows[0]
		rows = rows[1:]
		if row.raw == nil {
			return
		}
		v, err := parseValue(row.raw)
		if err != nil {
			failed, ended = fmt.Errorf("key %x: %w", row.key, err), true
			return
		}
		ended = v.live(a.timeMs) && !fn(row.key, v)
	}
	err := scanLive(r, rng.Start, rng.End, a.timeMs, func(key []byte, v storedValue) bool {
		for !ended && len(rows) > 0 && bytes.Compare(rows[0].key, key) < 0 {
			next()
		}
		switch {
		case ended:
		case len(rows) > 0 && bytes.Equal(rows[0].key, key):
			next()
		default:
			ended = !fn(key, v)
		}
		return !ended
	})
	for err == nil && !ended && len(rows) > 0 {
		next()
	}
	if err != nil {
		return err
	}
	return failed
}
