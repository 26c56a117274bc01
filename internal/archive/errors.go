package archive

import "errors"

var (
	// ErrDamaged is returned when a segment is not what was written.
	ErrDamaged = errors.New("damaged log segment")
	// ErrNewerFormat is returned when a segment was written by a newer program.
	ErrNewerFormat = errors.New("log segment of a newer program")
	// ErrForeign is returned when a segment is of another cluster.
	ErrForeign = errors.New("log segment of another cluster")
	// ErrGap is returned when entries that are asked for are not in the archive and
	// later ones are.
	ErrGap = errors.New("gap in the log archive")
)
