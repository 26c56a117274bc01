package command

import "errors"

var (
	// ErrUnknownCommand is returned when an entry holds something that this
	// program does not know: another format, another kind, another field. A newer
	// program wrote it; applying the rest of it would make the nodes diverge.
	ErrUnknownCommand = errors.New("command: entry of an unknown kind or version")
	// ErrMalformed is returned when bytes are no entry of any version.
	ErrMalformed = errors.New("command: malformed entry")
	// ErrInvalid is returned when an entry to be encoded breaks a rule.
	ErrInvalid = errors.New("command: invalid entry")
	// ErrTooLarge is returned when an entry to be encoded is over a size limit.
	ErrTooLarge = errors.New("command: entry too large")
)
