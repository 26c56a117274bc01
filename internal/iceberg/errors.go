package iceberg

import (
	"errors"
	"fmt"
)

// The classes of failure. Every error of this package matches exactly one of
// them with errors.Is, and its Error text can be shown to a client as it is.
var (
	// ErrInvalid is returned when a document or a request breaks a rule of the
	// format: sending it again will not help.
	ErrInvalid = errors.New("invalid")
	// ErrRequirementFailed is returned when a requirement of a commit does not
	// hold for the table as it is.
	ErrRequirementFailed = errors.New("requirement failed")
	// ErrStale is returned when an update was made from an older version of the
	// table, without a requirement that says so: the client should refresh and
	// try again.
	ErrStale = errors.New("stale")
	// ErrUnsupported is returned for what the format allows but this package does
	// not do, such as format version 4.
	ErrUnsupported = errors.New("unsupported")
	// ErrCorrupt is returned when what comes back from the store is not what was
	// put there. No client is to blame and none can mend it.
	ErrCorrupt = errors.New("corrupt")
)

// fault carries the text for the client and the class for the program. The
// class is not part of the text, which must be as clients and their tests
// expect it.
type fault struct {
	class error
	text  string
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.class }

func invalidf(format string, args ...any) error {
	return &fault{ErrInvalid, fmt.Sprintf(format, args...)}
}

func stalef(format string, args ...any) error {
	return &fault{ErrStale, fmt.Sprintf(format, args...)}
}

func unsupportedf(format string, args ...any) error {
	return &fault{ErrUnsupported, fmt.Sprintf(format, args...)}
}

// corrupt says that what is wrong is wrong in the store. What a newer program
// wrote there is not damage.
func corrupt(err error) error {
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnsupported) {
		return err
	}
	return &fault{ErrCorrupt, "Stored metadata is damaged: " + err.Error()}
}

func unmetf(format string, args ...any) error {
	return &fault{ErrRequirementFailed, "Requirement failed: " + fmt.Sprintf(format, args...)}
}
