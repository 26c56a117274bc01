package command

import (
	"bytes"
	"errors"
	"fmt"
)

// FirstOpenSpace is the first keyspace that transactions may name. The ones
// below it belong to the state machine.
const FirstOpenSpace byte = 0x10

// WellFormed tells whether a transaction can be applied at all, whatever the
// state is: an identity of the right length, keys in open keyspaces, ranges that
// are not turned round. The state machine rejects what is not, and does so by
// exactly these rules whatever version is in use: a rule added or dropped here
// would make two versions of the program decide differently.
func (t *Transaction) WellFormed() error {
	if len(t.GetId()) != IDBytes {
		return fmt.Errorf("%w: identity of %d bytes instead of %d", ErrInvalid, len(t.GetId()), IDBytes)
	}
	for i, p := range t.GetPreconditions() {
		if err := checkKeys(p.keys()); err != nil {
			return fmt.Errorf("%w: precondition %d: %w", ErrInvalid, i, err)
		}
	}
	for i, w := range t.GetWrites() {
		if err := checkKeys(w.keys()); err != nil {
			return fmt.Errorf("%w: write %d: %w", ErrInvalid, i, err)
		}
	}
	if r := t.GetRestore(); r != nil {
		if err := checkKeys(r.GetStream().ends()); err != nil {
			return fmt.Errorf("%w: restore: %w", ErrInvalid, err)
		}
	}
	return nil
}

// Restores tells whether an entry replaces the whole state. Among other commands
// none does: the state machine rejects such a transaction, as malformed.
func (e *Entry) Restores() bool {
	return len(e.GetCommands()) == 1 && e.GetCommands()[0].GetTransaction().GetRestore() != nil
}

// keys returns the key that a precondition names, or both ends of its range. A
// precondition on a single key has no end.
func (p *Precondition) keys() (start, end []byte) {
	switch kind := p.GetKind().(type) {
	case *Precondition_Absent:
		return kind.Absent, nil
	case *Precondition_Present:
		return kind.Present, nil
	case *Precondition_AtRevision:
		return kind.AtRevision.GetKey(), nil
	case *Precondition_RangeEmpty:
		return kind.RangeEmpty.ends()
	default:
		return nil, nil
	}
}

// keys returns the key that a write names, or both ends of its range.
func (w *Write) keys() (start, end []byte) {
	switch kind := w.GetKind().(type) {
	case *Write_Put:
		return kind.Put.GetKey(), nil
	case *Write_Delete:
		return kind.Delete, nil
	case *Write_DeleteRange:
		return kind.DeleteRange.ends()
	default:
		return nil, nil
	}
}

// ends never returns a nil end, which would look like a single key.
func (r *Range) ends() (start, end []byte) {
	if r.GetEnd() == nil {
		return r.GetStart(), []byte{}
	}
	return r.GetStart(), r.GetEnd()
}

func checkKeys(start, end []byte) error {
	if len(start) == 0 {
		return errors.New("empty key")
	}
	if start[0] < FirstOpenSpace {
		return fmt.Errorf("key in reserved keyspace %#02x", start[0])
	}
	if end != nil && bytes.Compare(start, end) >= 0 {
		return errors.New("range ends before it starts")
	}
	return nil
}
