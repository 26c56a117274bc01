package fsm

import (
	"bytes"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/floeberg/floeberg/fsm/state"
)

// noExpiry is a nextExpiry that never comes.
const noExpiry = math.MaxUint64

// scheduleExpiry notes that a key goes at a moment of replicated time; 0 is never.
func (b *batch) scheduleExpiry(expiresMs uint64, key []byte) error {
	if expiresMs == 0 {
		return nil
	}
	b.nextExpiry = min(b.nextExpiry, expiresMs)
	return b.insert(appendExpiryKey(nil, expiresMs, key), nil)
}

// cancelExpiry undoes scheduleExpiry.
func (b *batch) cancelExpiry(expiresMs uint64, key []byte) error {
	if expiresMs == 0 {
		return nil
	}
	return b.remove(appendExpiryKey(nil, expiresMs, key), nil)
}

// sweep removes keys whose time has come, at most limit of them. Since expired
// values count as absent anyway, it may lag; since it is part of applying an
// entry, it lags by the same rows on every node.
func (b *batch) sweep(limit int) error {
	if limit == 0 || b.nextExpiry > b.pos.timeMs {
		return nil
	}
	due, next, err := b.due(limit)
	if err != nil {
		return err
	}
	b.nextExpiry = next
	for _, row := range due {
		_, key, err := parseExpiryKey(row)
		if err != nil {
			return err
		}
		if err := b.remove(key, nil); err != nil {
			return err
		}
		if err := b.remove(row, nil); err != nil {
			return err
		}
	}
	return nil
}

// due returns the first rows of the expiry index whose time has come and the
// time of the one after them.
func (b *batch) due(limit int) (rows [][]byte, next uint64, err error) {
	it, err := b.rows.NewIter(&pebble.IterOptions{
		LowerBound: appendExpiryKey(nil, b.nextExpiry, nil),
		UpperBound: []byte{byte(state.SpaceExpiry) + 1},
	})
	if err != nil {
		return nil, 0, fmt.Errorf("scan the expiry index: %w", err)
	}
	defer func() {
		if e := it.Close(); err == nil && e != nil {
			err = fmt.Errorf("scan the expiry index: %w", e)
		}
	}()
	rows = b.pending[:0]
	for ok := it.First(); ok; ok = it.Next() {
		expiresMs, _, err := parseExpiryKey(it.Key())
		if err != nil {
			return nil, 0, err
		}
		if expiresMs > b.pos.timeMs || len(rows) == limit {
			b.pending = rows
			return rows, expiresMs, nil
		}
		rows = append(rows, bytes.Clone(it.Key()))
	}
	b.pending = rows
	return rows, noExpiry, nil
}
