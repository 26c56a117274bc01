package storage

import "errors"

// Errors of this package, to be tested with errors.Is. The text around them
// names the operation and the location, and never a credential.
var (
	// ErrInvalidLocation is returned when a location is not spelled as this
	// package accepts it; see Canonical.
	ErrInvalidLocation = errors.New("invalid location")

	// ErrOutside is returned when a location, or what a symbolic link in it
	// leads to, lies outside the roots that the store was opened with.
	ErrOutside = errors.New("location is outside the warehouse")

	// ErrNotFound is returned when there is no object at a location.
	ErrNotFound = errors.New("object not found")

	// ErrExists is returned when a Put finds its name taken.
	ErrExists = errors.New("object exists already")

	// ErrTooLarge is returned when an object is larger than the caller allowed,
	// or larger than the store takes.
	ErrTooLarge = errors.New("object is too large")

	// ErrUnavailable is returned when the store did not do what was asked and a
	// later try may succeed: it is slow, dead, full, throttling or failing, or
	// too many callers wait for it already. After a Put the outcome is unknown.
	ErrUnavailable = errors.New("object store is unavailable")

	// ErrDenied is returned when the store refuses in a way that a later try
	// does not mend by itself: credentials, permissions, a read-only directory,
	// a bucket that does not exist.
	ErrDenied = errors.New("object store refuses access")

	// ErrCorrupt is returned when compressed content can't be decompressed.
	ErrCorrupt = errors.New("compressed content is damaged")

	// ErrConfig is returned by Open when its configuration can't work.
	ErrConfig = errors.New("invalid storage configuration")
)

// Outcomes that only the stores themselves act on.
var (
	errTaken       = errors.New("precondition failed")
	errUnsupported = errors.New("not implemented by the store")
	errExpired     = errors.New("expired credentials")
	errRange       = errors.New("it has no such range")
)

// failure is the outcome of one attempt: what class it belongs to, what caused
// it, and whether the same call is worth another try.
type failure struct {
	kind  error
	cause error
	retry bool
}

// Error gives the class and the cause on one line.
func (f *failure) Error() string {
	if f.cause == nil {
		return f.kind.Error()
	}
	return f.kind.Error() + ": " + f.cause.Error()
}

// Unwrap lets errors.Is find the class as well as the cause.
func (f *failure) Unwrap() []error {
	if f.cause == nil {
		return []error{f.kind}
	}
	return []error{f.kind, f.cause}
}

// retryable reports whether another attempt may end better than err.
func retryable(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.retry
}
