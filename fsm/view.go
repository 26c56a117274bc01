package fsm

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/floeberg/floeberg/fsm/state"
)

// reader reads the values of one unchanging state, as a view does.
type reader struct {
	snap  *pebble.Snapshot
	nowMs uint64
}

var _ state.Reader = (*reader)(nil)

// readable refuses the machine's own rows: they are not stored as values. Events
// are.
func readable(key []byte) error {
	if len(key) == 0 || key[0] < byte(state.SpaceEvent) {
		return fmt.Errorf("%w: %x", ErrReservedKey, key)
	}
	return nil
}

// Get returns the value under key.
func (r *reader) Get(key []byte) (state.Value, bool, error) {
	if err := readable(key); err != nil {
		return state.Value{}, false, err
	}
	raw, closer, err := r.snap.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return state.Value{}, false, nil
	}
	if err != nil {
		return state.Value{}, false, fmt.Errorf("fsm: read key %x: %w", key, err)
	}
	v, err := parseValue(raw)
	if err == nil {
		v.data = bytes.Clone(v.data)
	}
	if err := errors.Join(err, closer.Close()); err != nil {
		return state.Value{}, false, fmt.Errorf("key %x: %w", key, err)
	}
	if !v.live(r.nowMs) {
		return state.Value{}, false, nil
	}
	return state.Value{Data: v.data, Revision: v.revision}, true, nil
}

// Scan calls fn for each key of the range in order until it returns false.
func (r *reader) Scan(rng state.KeyRange, fn func(key []byte, v state.Value) bool) error {
	if err := readable(rng.Start); err != nil {
		return err
	}
	return scanLive(r.snap, rng.Start, rng.End, r.nowMs, func(key []byte, v storedValue) bool {
		return fn(key, state.Value{Data: v.data, Revision: v.revision})
	})
}

// scanLive calls fn for each live value with start <= key < end until it returns
// false. Key and value are valid only during the call.
func scanLive(r pebble.Reader, start, end []byte, nowMs uint64, fn func(key []byte, v storedValue) bool) (err error) {
	if bytes.Compare(start, end) >= 0 {
		return nil
	}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return fmt.Errorf("fsm: scan from key %x: %w", start, err)
	}
	defer func() {
		if e := it.Close(); err == nil && e != nil {
			err = fmt.Errorf("fsm: scan from key %x: %w", start, e)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		raw, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("fsm: read key %x: %w", it.Key(), err)
		}
		v, err := parseValue(raw)
		if err != nil {
			return fmt.Errorf("key %x: %w", it.Key(), err)
		}
		if v.live(nowMs) && !fn(it.Key(), v) {
			return nil
		}
	}
	return nil
}
