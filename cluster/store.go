package cluster

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	logFile         = "raft.db"
	lockTimeout     = time.Second
	retainSnapshots = 2
	// foundingTerm is the term of the founding configuration.
	foundingTerm = 1
)

// keyTerm is where raft keeps its term.
var keyTerm = []byte("CurrentTerm")

// store is what raft keeps on disk: log, term and vote in one bolt file,
// snapshots beside it.
type store struct {
	dir       string
	bolt      *raftboltdb.BoltStore
	snapshots raft.SnapshotStore
	files     *snapshotFiles
	// configuration is the last one that is known to be committed.
	configuration *configuration
	arrival       *arrival
	events        *Events
	logger        *raftLogger
	// sealedFrom is the entry from which on all have a checksum; 0 until that is known.
	sealedFrom uint64
	damage     damage
	// applied is how far raft has taken the log; nil until it runs.
	applied atomic.Pointer[func() uint64]
	// failure is why the log could not be written the last time; nil when it could.
	failure atomic.Pointer[error]
	closed  chan struct{}
	once    sync.Once
}

// openStore opens what is on disk. Damage that is found there is told once.
func openStore(opts *Options, logger *raftLogger, damaged func(error)) (_ *store, err error) {
	s := &store{
		dir: opts.Dir, events: &opts.Events, logger: logger, closed: make(chan struct{}),
		configuration: newConfiguration(), arrival: new(arrival),
	}
	s.damage.told = damaged
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cluster: data folder: %w", err)
	}
	if err := checkStopped(opts.Dir); err != nil {
		return nil, err
	}
	if err := s.openLog(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := s.seal(); err != nil {
		return nil, logError(err)
	}
	// Only now: the log's lock says that no other process writes them.
	if err := removeHalfSnapshots(opts.Dir); err != nil {
		return nil, fmt.Errorf("cluster: snapshots in %s: %w", opts.Dir, err)
	}
	if s.files, err = openSnapshots(opts.Dir, logger); err != nil {
		return nil, fmt.Errorf("cluster: snapshots in %s: %w", opts.Dir, err)
	}
	s.snapshots = &watchedSnapshots{SnapshotStore: s.files, store: s}
	// What is synced within a file is lost with the file, where a power loss takes
	// its name: the log's, the snapshots' and this folder's.
	if err := errors.Join(syncFolder(opts.Dir), syncFolder(filepath.Dir(opts.Dir))); err != nil {
		return nil, fmt.Errorf("cluster: data folder: %w", err)
	}
	return s, nil
}

func (s *store) openLog() error {
	err := s.guard(func() (err error) {
		s.bolt, err = raftboltdb.New(raftboltdb.Options{
			Path: s.path(),
			// The map makes finding free pages cheap in a file that was cut often.
			BoltOptions: &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType},
		})
		return err
	})
	var refused *fs.PathError
	var failed syscall.Errno
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%w: %s", ErrInUse, s.path())
	case errors.Is(err, ErrDamaged):
		return err
	case errors.As(err, &refused), errors.As(err, &failed):
		return fmt.Errorf("cluster: raft log %s: %w", s.path(), err)
	}
	// What bolt says of the file's first pages.
	return s.damage.report(s.path(), err)
}

func logError(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err // it says where
	}
	return fmt.Errorf("cluster: raft log: %w", err)
}

// removeHalfSnapshots removes what a crash left of snapshots that were being
// written: raft does not count it, and never removes it.
func removeHalfSnapshots(dir string) error {
	dir = filepath.Join(dir, snapshotFolder)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), halfSnapshot) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, entry.Name())))
		}
	}
	return err
}

// check compares the state machine with what raft has, and tells whether raft
// may leave the state as it is at the start.
func (s *store) check(machine Machine) (noRestore bool, err error) {
	log := &logs{s}
	first, err := log.FirstIndex()
	if err != nil {
		return false, logError(err)
	}
	last, err := log.LastIndex()
	if err != nil {
		return false, logError(err)
	}
	snapshot, err := s.usable(machine)
	if err != nil {
		return false, fmt.Errorf("cluster: snapshots: %w", err)
	}
	if last == 0 && snapshot == 0 {
		if err := s.forgetFounding(); err != nil {
			return false, err
		}
	}
	if first > snapshot+1 {
		return false, fmt.Errorf("%w: %s begins with entry %d, and there is no undamaged snapshot of what came before; %s",
			ErrLogLost, s.path(), first, mend)
	}
	if applied, _ := machine.Applied(); applied > max(last, snapshot) {
		return false, fmt.Errorf("%w: entry %d is applied, but log and snapshots end at %d. "+
			"%s was lost or replaced by an older copy. Put the right one back, or %s", ErrLogLost, applied, max(last, snapshot), s.path(), mend)
	}
	return !machine.NeedsRestore(snapshot), nil
}

// usable returns the index of the snapshot that raft will start from; 0 is none.
// One that has to be restored is read once before raft does, so that raft never
// goes on from an older one without its being known.
func (s *store) usable(machine Machine) (index uint64, err error) {
	for {
		snaps, err := s.snapshots.List()
		if err != nil || len(snaps) == 0 {
			return 0, err
		}
		index = snaps[0].Index
		s.configuration.note(snaps[0].ConfigurationIndex, snaps[0].Configuration.Servers)
		if !machine.NeedsRestore(index) {
			return index, nil
		}
		_, stream, err := s.snapshots.Open(snaps[0].ID)
		if err == nil {
			return index, stream.Close()
		}
		if !errors.Is(err, ErrDamaged) {
			return 0, err
		}
	}
}

// forgetFounding undoes a founding that was cut short. Raft writes the term and
// then the configuration; the term alone it takes for the state of a member, and
// the node could never found a cluster again. Nobody votes or leads in that term,
// so that nothing was promised in it.
func (s *store) forgetFounding() error {
	term, err := s.getUint64(keyTerm)
	if errors.Is(err, raftboltdb.ErrKeyNotFound) || err == nil && term != foundingTerm {
		return nil
	}
	if err == nil {
		err = (&stable{s}).SetUint64(keyTerm, 0)
	}
	if err != nil {
		return logError(err)
	}
	return nil
}

// closeTimeout bounds the closing of a damaged file: what a panic has left locked
// in there is locked for ever.
const closeTimeout = time.Second

func (s *store) close() error {
	s.release()
	done := make(chan error, 1)
	go func() { done <- contain(s.bolt.Close) }()
	if s.damage.err() == nil {
		return <-done
	}
	select {
	case err := <-done:
		return err
	case <-time.After(closeTimeout):
		return nil // the process ends, and the lock with it
	}
}

// release lets go of whatever waits for the disk, so that raft can stop.
func (s *store) release() { s.once.Do(func() { close(s.closed) }) }

func (s *store) noted(err error) {
	if err == nil {
		if s.failure.Load() != nil {
			s.failure.Store(nil)
		}
		return
	}
	s.failure.Store(&err)
	s.events.logStoreFailed(err)
}

// watchedSnapshots tells how long snapshots took and how large they are, and what
// configuration they hold: it is committed, also where the leader sent it.
type watchedSnapshots struct {
	raft.SnapshotStore
	store *store
}

// Create implements raft.SnapshotStore.
func (t *watchedSnapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, trans raft.Transport,
) (raft.SnapshotSink, error) {
	t.store.configuration.note(configurationIndex, configuration.Servers)
	start := time.Now()
	sink, err := t.SnapshotStore.Create(version, index, term, configuration, configurationIndex, trans)
	if err != nil {
		t.store.events.snapshotTaken(0, time.Since(start), err)
		return nil, err
	}
	// One that is ahead of what raft has applied here is of another node's state.
	if applied := t.store.applied.Load(); applied != nil && index > (*applied)() {
		sink = &receivedSink{sink, t.store.arrival}
	}
	return &timedSink{SnapshotSink: sink, start: start, events: t.store.events}, nil
}

type timedSink struct {
	raft.SnapshotSink
	start  time.Time
	bytes  int64
	events *Events
}

var _ io.Writer = (*timedSink)(nil)

var errSnapshotCancelled = errors.New("cancelled")

// Write implements io.Writer.
func (s *timedSink) Write(p []byte) (int, error) {
	n, err := s.SnapshotSink.Write(p)
	s.bytes += int64(n)
	return n, err
}

// Close implements raft.SnapshotSink.
func (s *timedSink) Close() error {
	err := s.SnapshotSink.Close()
	s.events.snapshotTaken(s.bytes, time.Since(s.start), err)
	return err
}

// Cancel implements raft.SnapshotSink.
func (s *timedSink) Cancel() error {
	s.events.snapshotTaken(s.bytes, time.Since(s.start), errSnapshotCancelled)
	return s.SnapshotSink.Cancel()
}
