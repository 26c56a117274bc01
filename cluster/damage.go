package cluster

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// mend is what an operator does about a node whose files are damaged. A voter
// that comes back without its term and vote could vote twice: so it leaves first.
const mend = `take this node out of the cluster ("floeberg cluster remove" with its id, on another node), empty its data folder ` +
	`and start it anew: it gets everything from the others`

// damage is the first damage that was found in what raft keeps. From then on
// nothing is read or written there: what is damaged can't be told from what is not.
type damage struct {
	found atomic.Pointer[error]
	// told is called once, with what was found while raft runs.
	told func(error)
	// running is set once raft runs. Before, damage is an error of the start.
	running atomic.Bool
	// ended is set once raft does nothing any more, and answers nobody.
	ended atomic.Bool
}

// err is the damage that was found, or nil.
func (d *damage) err() error {
	if err := d.found.Load(); err != nil {
		return *err
	}
	return nil
}

// report notes damage to a file and returns what counts: the first that was found.
func (d *damage) report(path string, what error) error {
	err := fmt.Errorf("%w: %s: %w; %s", ErrDamaged, path, what, mend)
	if d.found.CompareAndSwap(nil, &err) && d.running.Load() {
		d.told(err)
	}
	return d.err()
}

// endRaft ends raft's main goroutine, which has met damage and would panic on an
// error. What it has deferred still runs: a leader stops sending heartbeats and
// answers what waits with "leadership lost", which is unknown.
func (d *damage) endRaft() {
	if d.running.Load() {
		d.ended.Store(true)
		runtime.Goexit()
	}
}

// errUnreadable is what a panic of bolt's comes down to.
var errUnreadable = errors.New("its pages can't be read")

// contain calls into bolt, which maps its file into memory and believes what it
// finds there: a damaged page makes it panic, and one that the disk does not give
// is a fault at its address. Both become errors.
func contain(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errUnreadable, r)
		}
	}()
	return do()
}

// guard calls into bolt as long as the file is whole, as far as is known.
func (s *store) guard(do func() error) error {
	if err := s.damage.err(); err != nil {
		return err
	}
	err := contain(do)
	if errors.Is(err, errUnreadable) {
		return s.damage.report(s.path(), err)
	}
	return err
}

func (s *store) path() string { return filepath.Join(s.dir, logFile) }

// start makes a Raft node on what is on disk. Raft panics where it can't read the
// log that it starts from.
func (s *store) start(conf *raft.Config, machine raft.FSM, transport raft.Transport) (r *raft.Raft, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.damage.report(s.path(), fmt.Errorf("raft can't start from it: %v", p))
		} else if found := s.damage.err(); found != nil {
			err = found
		}
	}()
	r, err = raft.NewRaft(conf, machine, &logs{s}, &stable{s}, s.snapshots, transport)
	if err != nil {
		return nil, err
	}
	applied := r.AppliedIndex
	s.applied.Store(&applied)
	s.damage.running.Store(true)
	return r, nil
}
