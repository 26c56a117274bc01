package command

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// The limits of what may be proposed. Only Encode enforces sizes: a limit that
// the state machine enforced could never be changed again without old and new
// programs deciding differently.
const (
	// IDBytes is the length of a transaction's identity.
	IDBytes = 16
	// MaxKeyBytes bounds a key: a path of some hundred levels fits.
	MaxKeyBytes = 32 << 10
	// MaxValueBytes bounds one value.
	MaxValueBytes = 32 << 20
	// MaxEntryBytes bounds an encoded entry. A log entry is meant to stay under
	// 512 KiB; this leaves room for registering a table with a long history.
	MaxEntryBytes = 64 << 20
	// MaxCommands bounds the list of an entry.
	MaxCommands = 1024
)

var errNoKind = errors.New("no kind that this program knows")

// Encode writes an entry as the data of a log entry. version is the one in use in
// the cluster. It refuses what the state machine would, so that nothing that can't
// be applied gets into the log.
func Encode(entry *Entry, version uint32) ([]byte, error) {
	if err := checkVersion(version); err != nil {
		return nil, err
	}
	if n := len(entry.GetCommands()); n > MaxCommands {
		return nil, fmt.Errorf("%w: %d commands, at most %d", ErrTooLarge, n, MaxCommands)
	}
	if err := checkFields(entry.ProtoReflect()); err != nil {
		return nil, err
	}
	for i, c := range entry.GetCommands() {
		if err := c.validate(); err != nil {
			return nil, fmt.Errorf("command %d: %w", i, err)
		}
		if c.GetTransaction().GetRestore() != nil && !entry.Restores() {
			return nil, fmt.Errorf("%w: command %d restores a state and is not alone in its entry", ErrInvalid, i)
		}
	}
	size := 1 + proto.Size(entry)
	if size > MaxEntryBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, MaxEntryBytes)
	}
	data := append(make([]byte, 0, size), byte(version))
	data, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(data, entry)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return data, nil
}

// Validate tells whether a transaction may be proposed: everything that the
// state machine checks whatever the state is, and the size limits.
func (t *Transaction) Validate() error {
	if err := t.checkKinds(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := t.WellFormed(); err != nil {
		return err
	}
	return t.checkSizes()
}

func (c *Command) validate() error {
	if err := c.checkKind(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	switch kind := c.GetKind().(type) {
	case *Command_Transaction:
		return kind.Transaction.Validate()
	case *Command_RaiseVersion:
		return checkVersion(kind.RaiseVersion.GetVersion())
	}
	return nil
}

func (t *Transaction) checkSizes() error {
	for i, p := range t.GetPreconditions() {
		if err := checkKeySizes(p.keys()); err != nil {
			return fmt.Errorf("precondition %d: %w", i, err)
		}
	}
	for i, w := range t.GetWrites() {
		if err := checkKeySizes(w.keys()); err != nil {
			return fmt.Errorf("write %d: %w", i, err)
		}
		if n := len(w.GetPut().GetValue()); n > MaxValueBytes {
			return fmt.Errorf("write %d: %w: value of %d bytes, at most %d", i, ErrTooLarge, n, MaxValueBytes)
		}
	}
	if r := t.GetRestore(); r != nil {
		if err := checkKeySizes(r.GetStream().ends()); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
	}
	for i, e := range t.GetEvents() {
		if n := len(e.GetPayload()); n > MaxValueBytes {
			return fmt.Errorf("event %d: %w: %d bytes, at most %d", i, ErrTooLarge, n, MaxValueBytes)
		}
	}
	return nil
}

func checkKeySizes(start, end []byte) error {
	if n := max(len(start), len(end)); n > MaxKeyBytes {
		return fmt.Errorf("%w: key of %d bytes, at most %d", ErrTooLarge, n, MaxKeyBytes)
	}
	return nil
}
