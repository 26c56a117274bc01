package fsm

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/zeebo/xxh3"

	"github.com/floeberg/floeberg/fsm/state"
)

// Sum is the checksum of a set of rows: the lane-wise sum of their hashes. A row
// is added and taken out again in constant time and in any order, so it is kept
// up with every write instead of being computed by reading everything. It finds
// divergence and damage; it is no defence against somebody who means to forge one.
type Sum struct{ Hi, Lo uint64 }

// Bytes returns the checksum as it is stored and shown.
func (s Sum) Bytes() (out [16]byte) {
	binary.BigEndian.PutUint64(out[:8], s.Hi)
	binary.BigEndian.PutUint64(out[8:], s.Lo)
	return out
}

func sumFromBytes(b [16]byte) Sum {
	return Sum{Hi: binary.BigEndian.Uint64(b[:8]), Lo: binary.BigEndian.Uint64(b[8:])}
}

func (s *Sum) add(row Sum)    { s.Hi += row.Hi; s.Lo += row.Lo }
func (s *Sum) remove(row Sum) { s.Hi -= row.Hi; s.Lo -= row.Lo }

// hasher hashes rows; it keeps its buffer between them.
type hasher struct{ buf []byte }

// maxKeptBuffer is what a buffer may keep allocated after one large row.
const maxKeptBuffer = 1 << 20

// row is the hash of one row. The key's length comes first, so that no other
// pair of key and value makes the same bytes.
func (h *hasher) row(key, value []byte) Sum {
	h.buf = binary.AppendUvarint(h.buf[:0], uint64(len(key)))
	h.buf = append(h.buf, key...)
	h.buf = append(h.buf, value...)
	sum := xxh3.Hash128(h.buf)
	if cap(h.buf) > maxKeptBuffer {
		h.buf = nil
	}
	return Sum{Hi: sum.Hi, Lo: sum.Lo}
}

// Checksum returns the checksum of the whole state and the index at which it
// holds. It is equal on all nodes at one index, and costs nothing.
func (m *Machine) Checksum() (sum [16]byte, index uint64) {
	p := m.pos.Load()
	return p.sum.Bytes(), p.index
}

// VerifyChecksum reads the whole state and compares it with the checksum that
// was kept up along the way. It does not hold up writes.
func (m *Machine) VerifyChecksum(ctx context.Context) (sum [16]byte, index uint64, err error) {
	h, err := m.hold()
	if err != nil {
		return sum, 0, err
	}
	defer h.release()
	found, err := sumRows(ctx, h.snap)
	if err != nil {
		return sum, h.pos.index, err
	}
	if found != h.pos.sum {
		return found.Bytes(), h.pos.index, fmt.Errorf("%w: the rows at index %d have checksum %x, recorded is %x",
			ErrCorrupt, h.pos.index, found.Bytes(), h.pos.sum.Bytes())
	}
	return found.Bytes(), h.pos.index, nil
}

// replicatedRows is all that the checksum covers and a snapshot holds.
func replicatedRows() *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: []byte{byte(state.SpaceMeta) + 1}}
}

func sumRows(ctx context.Context, r pebble.Reader) (sum Sum, err error) {
	it, err := r.NewIter(replicatedRows())
	if err != nil {
		return sum, fmt.Errorf("fsm: read the state: %w", err)
	}
	defer func() {
		if e := it.Close(); err == nil && e != nil {
			err = fmt.Errorf("fsm: read the state: %w", e)
		}
	}()
	var h hasher
	const checkEvery = 4096
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n++; n%checkEvery == 0 && ctx.Err() != nil {
			return sum, ctx.Err()
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return sum, fmt.Errorf("fsm: read the state: %w", err)
		}
		sum.add(h.row(it.Key(), value))
	}
	return sum, nil
}
