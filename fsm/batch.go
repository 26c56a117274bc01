package fsm

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/floeberg/floeberg/fsm/command"
)

// batch is what some entries do to the state, before it is written. Later
// transactions read through it, so they see earlier ones.
type batch struct {
	rows *pebble.Batch
	pos  moment
	// before is what the stored bookkeeping said when the batch began.
	before moment
	// marks is where the state stood after each entry.
	marks []position
	// moved is set once an entry is in it, heard once one of them told the time.
	moved, heard bool
	nextExpiry   uint64

	// staging makes the store that takes this one's place; next is that store once
	// a transaction has asked for it, and rows belong to it from then on.
	staging staging
	next    *store
	// alone is set while the entry may replace the store.
	alone bool

	hash    hasher
	key     []byte
	value   []byte
	pending [][]byte
}

func newBatch(db *pebble.DB, from *moment, nextExpiry uint64) *batch {
	return &batch{
		rows:       db.NewIndexedBatch(),
		pos:        *from,
		before:     *from,
		nextExpiry: nextExpiry,
	}
}

func (b *batch) close() error {
	if err := b.rows.Close(); err != nil {
		return fmt.Errorf("fsm: close batch: %w", err)
	}
	return nil
}

// entry applies one entry; nil is one that only moves the index.
func (b *batch) entry(index, term uint64, entry *command.Entry) ([]command.Result, error) {
	b.moved = true
	b.pos.index, b.pos.term = index, term
	if entry == nil {
		b.marks = append(b.marks, b.pos.position)
		return nil, nil
	}
	b.alone = entry.Restores()
	results := make([]command.Result, 0, len(entry.GetCommands()))
	for _, c := range entry.GetCommands() {
		b.heard = true
		b.pos.timeMs = max(b.pos.timeMs, c.GetTimeMs())
		result := command.Result{Outcome: command.Applied, Revision: b.pos.revision, Index: index}
		switch kind := c.GetKind().(type) {
		case *command.Command_OpenTerm:
		case *command.Command_RaiseVersion:
			b.pos.version = max(b.pos.version, kind.RaiseVersion.GetVersion())
		case *command.Command_Transaction:
			var err error
			if result, err = b.transaction(kind.Transaction); err != nil {
				return nil, err
			}
		default:
			// Decode lets none through; a new kind that is forgotten here must not pass.
			return nil, fmt.Errorf("%w: command %T", command.ErrUnknownCommand, kind)
		}
		results = append(results, result)
	}
	if err := b.sweep(sweepPerCommand * len(results)); err != nil {
		return nil, err
	}
	if err := b.settle(); err != nil {
		return nil, err
	}
	b.marks = append(b.marks, b.pos.position)
	return results, nil
}

// settle writes the machine's own replicated rows. It is part of each entry, and
// not of the batch: then the state after an entry is the same whatever is in one
// batch with it, and so is its checksum.
func (b *batch) settle() error {
	if b.pos.version != b.before.version {
		b.value = appendVersion(b.value[:0], b.pos.version)
		if err := b.set(versionKey, b.value); err != nil {
			return err
		}
		b.before.version = b.pos.version
	}
	if b.pos.counters != b.before.counters {
		b.value = b.pos.counters.append(b.value[:0])
		if err := b.set(countersKey, b.value); err != nil {
			return err
		}
		b.before.counters = b.pos.counters
	}
	return nil
}

// finish writes where the state stands.
func (b *batch) finish() error {
	b.value = b.pos.position.append(b.value[:0])
	if err := b.rows.Set(positionKey, b.value, nil); err != nil {
		return fmt.Errorf("fsm: write position: %w", err)
	}
	return nil
}

// set writes a row, whatever was there.
func (b *batch) set(key, value []byte) error {
	if err := b.forget(key, nil); err != nil {
		return err
	}
	return b.insert(key, value)
}

// insert writes a row that is not there yet.
func (b *batch) insert(key, value []byte) error {
	if err := b.rows.Set(key, value, nil); err != nil {
		return fmt.Errorf("write key %x: %w", key, err)
	}
	b.pos.sum.add(b.hash.row(key, value))
	return nil
}

// remove deletes a row; a missing one is no error. Where it is given, seen gets
// the bytes that go.
func (b *batch) remove(key []byte, seen func(raw []byte) error) error {
	gone := false
	err := b.forget(key, func(raw []byte) error {
		gone = true
		if seen == nil {
			return nil
		}
		return seen(raw)
	})
	if err != nil || !gone {
		return err
	}
	if err := b.rows.Delete(key, nil); err != nil {
		return fmt.Errorf("delete key %x: %w", key, err)
	}
	return nil
}

// forget takes what is under a key, if anything, out of the checksum.
func (b *batch) forget(key []byte, seen func(raw []byte) error) error {
	return b.read(key, func(raw []byte) error {
		b.pos.sum.remove(b.hash.row(key, raw))
		if seen == nil {
			return nil
		}
		return seen(raw)
	})
}

// read calls fn with the bytes under a key, if there are any. They are valid
// only during the call.
func (b *batch) read(key []byte, fn func(raw []byte) error) error {
	raw, closer, err := b.rows.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read key %x: %w", key, err)
	}
	if err := errors.Join(fn(raw), closer.Close()); err != nil {
		return fmt.Errorf("key %x: %w", key, err)
	}
	return nil
}
