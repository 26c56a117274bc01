package fsm

import (
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// store is one opened database. Restore replaces it while views of the old one
// are still read, so it counts who holds it and closes with the last.
type store struct {
	db *pebble.DB
	// name of its folder inside the machine's.
	name string
	refs atomic.Int64
	// closed is called after the database is, with its error.
	closed func(error)
	// halted is the machine's, and failure tells why.
	halted  <-chan struct{}
	failure func() error
}

func (m *Machine) openStore(name string) (*store, error) {
	dir := m.opts.FS.PathJoin(m.opts.Dir, name)
	opts := m.engineOptions()
	if opts.FS == vfs.Default {
		// Left to itself, Pebble puts a watch for slow disks before this one.
		opts.FS = nil
	}
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, openError(dir, err)
	}
	s := &store{db: db, name: name, halted: m.halted, failure: m.failure}
	s.refs.Store(1)
	return s, nil
}

// openError is why the state in a folder can't be opened.
func openError(dir string, err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: damaged file in %s: %w", ErrCorrupt, dir, err)
	}
	return fmt.Errorf("fsm: open the state in %s: %w", dir, err)
}

// retain is called by who knows that somebody else holds the store.
func (s *store) retain() { s.refs.Add(1) }

func (s *store) release() {
	if s.refs.Add(-1) > 0 {
		return
	}
	err := s.db.Close()
	if s.closed != nil {
		s.closed(err)
	}
}

// flush makes everything applied so far durable. It gives up when the machine
// halts: the engine tries for ever what a full disk refuses.
func (s *store) flush() error {
	done, err := s.db.AsyncFlush()
	if err != nil {
		return fmt.Errorf("fsm: flush: %w", err)
	}
	select {
	case <-done:
		return nil
	case <-s.halted:
		return fmt.Errorf("fsm: flush: %w", s.failure())
	}
}
