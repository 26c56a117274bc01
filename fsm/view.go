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
	snap *pebble.Snapshot
	// ahead is what is read in place of what the snapshot has; nil is nothing.
	ahead *Ahead
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
	v, ok, err := r.stored(key)
	if err != nil {
		return state.Value{}, false, fmt.Errorf("fsm: read key %x: %w", key, err)
	}
	if !ok || !v.live(r.nowMs) {
		return state.Value{}, false, nil
	}
	return state.Value{Data: v.data, Revision: v.revision}, true, nil
}

// stored returns the value under key, live or not.
func (r *reader) stored(key []byte) (v storedValue, ok bool, err error) {
	if r.ahead != nil {
		if raw, known := r.ahead.get(key); known {
			if raw == nil {
				return v, false, nil
			}
			v, err = parseValue(bytes.Clone(raw))
			return v, err == nil, err
		}
	}
	raw, closer, err := r.snap.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return v, false, nil
	}
	if err != nil {
		return v, false, err
	}
	// The bytes are the store's, until they are given back.
	v, err = parseValue(bytes.Clone(raw))
	return v, err == nil, errors.Join(err, closer.Close())
}

// Scan calls fn for each key of the range in order until it returns false.
func (r *reader) Scan(rng state.KeyRange, fn func(key []byte, v state.Value) bool) error {
	if err := readable(rng.Start); err != nil {
		return err
	}
	each := func(key []byte, v storedValue) bool {
		return fn(key, state.Value{Data: v.data, Revision: v.revision})
	}
	if r.ahead != nil {
		return r.ahead.scan(r.snap, rng, each)
	}
	return scanLive(r.snap, rng.Start, rng.End, r.nowMs, each)
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
