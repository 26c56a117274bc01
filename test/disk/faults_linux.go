package disk

import (
	"sync"
	"syscall"
	"time"
)

// Faults is what is wrong with a disk. The zero value is nothing.
type Faults struct {
	// Full is that there is no room: ENOSPC for whatever needs some.
	Full bool
	// ReadOnly is what a kernel makes of a file system that it has found damaged:
	// EROFS for every change.
	ReadOnly bool
	// SyncFails is that what was written does not get to the disk: EIO for every
	// sync.
	SyncFails bool
	// Slow is how long each write and each sync takes.
	Slow time.Duration
}

// state is the faults at the moment, and how often they were met.
type state struct {
	mu     sync.Mutex
	faults Faults
	met    int
}

func (s *state) set(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// operation is a class of requests that fail alike.
type operation int

const (
	grow   operation = iota // needs room
	change                  // changes something and needs no room
	flush                   // gets to the disk what was written
)

// fate is the error that an operation meets, after the time that it takes.
func (s *state) fate(op operation) syscall.Errno {
	s.mu.Lock()
	f := s.faults
	var errno syscall.Errno
	switch {
	case f.ReadOnly && op != flush:
		errno = syscall.EROFS
	case f.Full && op == grow:
		errno = syscall.ENOSPC
	case f.SyncFails && op == flush:
		errno = syscall.EIO
	}
	if errno != 0 {
		s.met++
	}
	s.mu.Unlock()
	if f.Slow > 0 && op != change {
		time.Sleep(f.Slow)
	}
	return errno
}
