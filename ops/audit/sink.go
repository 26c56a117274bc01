package audit

import (
	"context"
	"time"
)

// Sink is where lines go. It is used by one goroutine, which it may hold up: the
// log notices.
type Sink interface {
	// Name tells which it is, to operators.
	Name() string
	// Write writes whole lines. After an error it is called with the same lines
	// again, so it leaves no part of them where it can.
	Write(lines []byte) error
	// Sync makes what was written outlive the machine's crash, where it can.
	Sync() error
	// Reopen opens the place again that it writes to.
	Reopen() error
	Close() error
}

// kept is a sink that still has what earlier processes wrote.
type kept interface {
	// last is where its chain stands: the number and the hash of its last line.
	last() (seq uint64, prev Hash)
	// first is the number of the oldest line that stays there for a while; 0 where
	// there is none.
	first() uint64
	// tail gives the last lines, the oldest first, at most about so many bytes.
	tail(bytes int64) ([][]byte, error)
	// back calls see with the lines that are not later than a moment, the newest first,
	// until it is false; the zero time is none. It may be called while lines are written.
	back(ctx context.Context, until time.Time, see func(line []byte) bool) error
}
