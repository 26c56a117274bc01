package fsm

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/floeberg/floeberg/fsm/command"
)

// transaction applies one transaction as a whole or not at all and remembers
// what became of it.
func (b *batch) transaction(t *command.Transaction) (command.Result, error) {
	if len(t.GetId()) != command.IDBytes {
		// No identity to remember it by, and none that could come again.
		return command.Result{Outcome: command.Rejected, Failed: command.Malformed, Index: b.pos.index}, nil
	}
	known, result, err := b.recall(t.GetId())
	if err != nil || known {
		return result, err
	}
	if now := b.pos.timeMs; t.GetDeadlineMs() < now {
		outcome := command.Expired
		if identityEnd(t.GetDeadlineMs()) <= now {
			outcome = command.Forgotten
		}
		return command.Result{Outcome: outcome, Index: b.pos.index}, nil
	}
	result, err = b.decide(t)
	if err != nil {
		return result, err
	}
	if result.Outcome == command.Applied && t.GetRestore() != nil {
		ok, err := b.restore(t)
		if err != nil {
			return result, err
		}
		if !ok {
			result = command.Result{Outcome: command.Rejected, Failed: command.Malformed, Index: b.pos.index}
		}
	}
	if result.Outcome == command.Applied {
		if err := b.perform(t); err != nil {
			return result, err
		}
		result.Revision = b.pos.revision
	}
	return result, b.remember(t, result)
}

// decide tells whether a transaction may be applied.
func (b *batch) decide(t *command.Transaction) (command.Result, error) {
	result := command.Result{Outcome: command.Rejected, Index: b.pos.index}
	if t.WellFormed() != nil || t.GetRestore() != nil && !b.alone {
		result.Failed = command.Malformed
		return result, nil //nolint:nilerr // a malformed transaction is an outcome, not a failure of the machine
	}
	for i, p := range t.GetPreconditions() {
		ok, err := b.holds(p)
		if err != nil {
			return result, fmt.Errorf("precondition %d: %w", i, err)
		}
		if !ok {
			result.Failed = i
			return result, nil
		}
	}
	result.Outcome = command.Applied
	return result, nil
}

func (b *batch) holds(p *command.Precondition) (bool, error) {
	switch kind := p.GetKind().(type) {
	case *command.Precondition_Absent:
		_, live, err := b.revision(kind.Absent)
		return !live, err
	case *command.Precondition_Present:
		_, live, err := b.revision(kind.Present)
		return live, err
	case *command.Precondition_AtRevision:
		revision, live, err := b.revision(kind.AtRevision.GetKey())
		return live && revision == kind.AtRevision.GetRevision(), err
	case *command.Precondition_RangeEmpty:
		return b.empty(kind.RangeEmpty)
	default:
		// Decode lets none through; a new kind that is forgotten here must not pass.
		return false, fmt.Errorf("%w: precondition %T", command.ErrUnknownCommand, kind)
	}
}

// revision returns which transaction wrote the live value under a key, if any.
func (b *batch) revision(key []byte) (revision uint64, live bool, err error) {
	err = b.read(key, func(raw []byte) error {
		v, err := parseValue(raw)
		revision, live = v.revision, err == nil && v.live(b.pos.timeMs)
		return err
	})
	return revision, live, err
}

func (b *batch) empty(r *command.Range) (bool, error) {
	empty := true
	err := scanLive(b.rows, r.GetStart(), r.GetEnd(), b.pos.timeMs, func([]byte, storedValue) bool {
		empty = false
		return false
	})
	return empty, err
}

// perform does what a transaction says.
func (b *batch) perform(t *command.Transaction) error {
	if len(t.GetWrites()) > 0 || t.GetRestore() != nil {
		b.pos.revision++
	}
	for i, w := range t.GetWrites() {
		if err := b.write(w); err != nil {
			return fmt.Errorf("write %d: %w", i, err)
		}
	}
	for i, e := range t.GetEvents() {
		if err := b.event(e); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
	}
	return nil
}

func (b *batch) write(w *command.Write) error {
	switch kind := w.GetKind().(type) {
	case *command.Write_Put:
		return b.put(kind.Put)
	case *command.Write_Delete:
		return b.drop(kind.Delete)
	case *command.Write_DeleteRange:
		return b.dropRange(kind.DeleteRange)
	default:
		return fmt.Errorf("%w: write %T", command.ErrUnknownCommand, kind)
	}
}

func (b *batch) put(p *command.Put) error {
	var wasExpiring uint64
	err := b.forget(p.GetKey(), func(raw []byte) error {
		v, err := parseValue(raw)
		wasExpiring = v.expiresMs
		return err
	})
	if err != nil {
		return err
	}
	b.value = appendValue(b.value[:0], storedValue{
		revision:  b.pos.revision,
		expiresMs: p.GetExpiresMs(),
		data:      p.GetValue(),
	})
	if err := b.insert(p.GetKey(), b.value); err != nil {
		return err
	}
	if cap(b.value) > maxKeptBuffer {
		b.value = nil
	}
	if wasExpiring == p.GetExpiresMs() {
		return nil
	}
	if err := b.cancelExpiry(wasExpiring, p.GetKey()); err != nil {
		return err
	}
	return b.scheduleExpiry(p.GetExpiresMs(), p.GetKey())
}

func (b *batch) drop(key []byte) error {
	var wasExpiring uint64
	err := b.remove(key, func(raw []byte) error {
		v, err := parseValue(raw)
		wasExpiring = v.expiresMs
		return err
	})
	if err != nil {
		return err
	}
	return b.cancelExpiry(wasExpiring, key)
}

// dropRange deletes row by row: each has to leave the checksum and the expiry
// index as well. The keys are collected first, since deleting under an iterator
// of the same batch is not to be relied on.
func (b *batch) dropRange(r *command.Range) (err error) {
	it, err := b.rows.NewIter(&pebble.IterOptions{LowerBound: r.GetStart(), UpperBound: r.GetEnd()})
	if err != nil {
		return fmt.Errorf("scan from key %x: %w", r.GetStart(), err)
	}
	b.pending = b.pending[:0]
	for ok := it.First(); ok; ok = it.Next() {
		b.pending = append(b.pending, bytes.Clone(it.Key()))
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("scan from key %x: %w", r.GetStart(), err)
	}
	for _, key := range b.pending {
		if err := b.drop(key); err != nil {
			return err
		}
	}
	return nil
}

// event appends to the events and lets the oldest go.
func (b *batch) event(e *command.Event) error {
	b.pos.events++
	b.key = appendEventKey(b.key[:0], b.pos.events)
	b.value = appendValue(b.value[:0], storedValue{revision: b.pos.revision, data: e.GetPayload()})
	if err := b.insert(b.key, b.value); err != nil {
		return err
	}
	if b.pos.events <= keepEvents {
		return nil
	}
	b.key = appendEventKey(b.key[:0], b.pos.events-keepEvents)
	return b.remove(b.key, nil)
}

// recall looks for the outcome of an earlier copy.
func (b *batch) recall(id []byte) (known bool, result command.Result, err error) {
	b.key = appendIdentityKey(b.key[:0], id)
	err = b.read(b.key, func(raw []byte) (err error) {
		known = true
		result, err = parseIdentity(raw)
		return err
	})
	return known, result, err
}

// remember keeps an outcome until no copy can come any more that would not be
// too late.
func (b *batch) remember(t *command.Transaction, result command.Result) error {
	b.key = appendIdentityKey(b.key[:0], t.GetId())
	b.value = appendIdentity(b.value[:0], result)
	if err := b.insert(b.key, b.value); err != nil {
		return err
	}
	return b.scheduleExpiry(identityEnd(t.GetDeadlineMs()), b.key)
}
