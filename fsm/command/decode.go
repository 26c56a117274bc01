// Package command is the entries of the replicated log: versioned, pure data.
package command

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Decode reads an entry. newest is the newest version that whoever asks applies.
// It is strict: whatever is not known in full, at any depth, is ErrUnknownCommand,
// because a member that is silently overlooked is a node that silently diverges.
func Decode(data []byte, newest uint32) (*Entry, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("%w: no bytes", ErrMalformed)
	}
	switch version := uint32(data[0]); {
	case version < FirstVersion:
		return nil, fmt.Errorf("%w: version %d", ErrMalformed, version)
	case version > newest:
		return nil, newerVersion(version, newest)
	}
	entry := &Entry{}
	if err := proto.Unmarshal(data[1:], entry); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := checkKnown(entry); err != nil {
		return nil, err
	}
	for _, c := range entry.GetCommands() {
		if v := c.GetRaiseVersion().GetVersion(); v > newest {
			return nil, newerVersion(v, newest)
		}
	}
	return entry, nil
}

func newerVersion(version, newest uint32) error {
	return fmt.Errorf("%w: the cluster uses command version %d, this program knows versions up to %d: run a newer one",
		ErrUnknownCommand, version, newest)
}

// checkKnown refuses an entry with members that this program does not know.
func checkKnown(entry *Entry) error {
	if err := checkFields(entry.ProtoReflect()); err != nil {
		return err
	}
	for i, c := range entry.GetCommands() {
		if err := c.checkKind(); err != nil {
			return fmt.Errorf("%w: command %d: %w", ErrUnknownCommand, i, err)
		}
	}
	return nil
}

// checkFields looks for unknown fields in a message and all below it. It goes by
// reflection so that a message added later can't be forgotten here.
func checkFields(m protoreflect.Message) error {
	if unknown := m.GetUnknown(); len(unknown) > 0 {
		return fmt.Errorf("%w: unknown field in %s", ErrUnknownCommand, m.Descriptor().FullName())
	}
	var err error
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if field.Message() == nil {
			return true
		}
		if field.IsMap() {
			// A map has no order, so it has no place in an entry.
			err = fmt.Errorf("%w: map %s", ErrUnknownCommand, field.FullName())
			return false
		}
		if !field.IsList() {
			err = checkFields(v.Message())
			return err == nil
		}
		list := v.List()
		for i := 0; i < list.Len() && err == nil; i++ {
			err = checkFields(list.Get(i).Message())
		}
		return err == nil
	})
	return err
}

// checkKind refuses a command, a precondition or a write without a kind: that is
// how an empty message looks, and how a kind that was taken out again would.
func (c *Command) checkKind() error {
	switch kind := c.GetKind().(type) {
	case *Command_OpenTerm:
		return nil
	case *Command_RaiseVersion:
		return nil
	case *Command_Transaction:
		return kind.Transaction.checkKinds()
	default:
		return errNoKind
	}
}

func (t *Transaction) checkKinds() error {
	for i, p := range t.GetPreconditions() {
		if p.GetKind() == nil {
			return fmt.Errorf("precondition %d: %w", i, errNoKind)
		}
	}
	for i, w := range t.GetWrites() {
		if w.GetKind() == nil {
			return fmt.Errorf("write %d: %w", i, errNoKind)
		}
	}
	return nil
}
