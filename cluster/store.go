package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
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
	// snapshotFolder and halfSnapshot are where raft writes snapshots and what ends
	// the names of those that are not whole yet.
	snapshotFolder = "snapshots"
	halfSnapshot   = ".tmp"
	// foundingTerm is the term of the founding configuration.
	foundingTerm = 1
)

// keyTerm is where raft keeps its term.
var keyTerm = []byte("CurrentTerm")

// store is what raft keeps on disk: log, term and vote in one bolt file,
// snapshots beside it.
type store struct {
	bolt      *raftboltdb.BoltStore
	snapshots raft.SnapshotStore
	events    *Events
	logger    *raftLogger
	// failure is why the log could not be written the last time; nil when it could.
	failure atomic.Pointer[error]
	closed  chan struct{}
	once    sync.Once
}

func openStore(opts *Options, logger *raftLogger) (*store, error) {
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cluster: data folder: %w", err)
	}
	path := filepath.Join(opts.Dir, logFile)
	bolt, err := raftboltdb.New(raftboltdb.Options{
		Path: path,
		// The map makes finding free pages cheap in a file that was cut often.
		BoltOptions: &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType},
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%w: %s", ErrInUse, path)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: raft log %s: %w", path, err)
	}
	// Only now: the log's lock says that no other process writes them.
	if err := removeHalfSnapshots(opts.Dir); err != nil {
		return nil, errors.Join(fmt.Errorf("cluster: snapshots in %s: %w", opts.Dir, err), bolt.Close())
	}
	files, err := raft.NewFileSnapshotStoreWithLogger(opts.Dir, retainSnapshots, logger)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cluster: snapshots in %s: %w", opts.Dir, err), bolt.Close())
	}
	// What is synced within a file is lost with the file, where a power loss takes
	// its name: the log's, the snapshots' and this folder's.
	if err := errors.Join(syncFolder(opts.Dir), syncFolder(filepath.Dir(opts.Dir))); err != nil {
		return nil, errors.Join(fmt.Errorf("cluster: data folder: %w", err), bolt.Close())
	}
	s := &store{bolt: bolt, events: &opts.Events, logger: logger, closed: make(chan struct{})}
	s.snapshots = &timedSnapshots{SnapshotStore: files, events: s.events}
	return s, nil
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
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
	last, err := s.bolt.LastIndex()
	if err != nil {
		return false, fmt.Errorf("cluster: raft log: %w", err)
	}
	snaps, err := s.snapshots.List()
	if err != nil {
		return false, fmt.Errorf("cluster: snapshots: %w", err)
	}
	if last == 0 && len(snaps) == 0 {
		if err := s.forgetFounding(); err != nil {
			return false, err
		}
	}
	noRestore = true
	if len(snaps) > 0 {
		last = max(last, snaps[0].Index)
		noRestore = !machine.NeedsRestore(snaps[0].Index)
	}
	if applied, _ := machine.Applied(); applied > last {
		return false, fmt.Errorf("%w: entry %d is applied, but log and snapshots end at %d. "+
			"%s was lost or replaced by an older copy. Put the right one back, or remove this node's whole data folder: "+
			"it then gets everything from the others again", ErrLogLost, applied, last, logFile)
	}
	return noRestore, nil
}

// forgetFounding undoes a founding that was cut short. Raft writes the term and
// then the configuration; the term alone it takes for the state of a member, and
// the node could never found a cluster again. Nobody votes or leads in that term,
// so that nothing was promised in it.
func (s *store) forgetFounding() error {
	term, err := s.bolt.GetUint64(keyTerm)
	if errors.Is(err, raftboltdb.ErrKeyNotFound) || err == nil && term != foundingTerm {
		return nil
	}
	if err == nil {
		err = s.bolt.SetUint64(keyTerm, 0)
	}
	if err != nil {
		return fmt.Errorf("cluster: raft log: %w", err)
	}
	return nil
}

func (s *store) close() error {
	s.once.Do(func() { close(s.closed) })
	return s.bolt.Close()
}

// release lets go of whatever waits for the disk, so that raft can stop.
func (s *store) release() { s.once.Do(func() { close(s.closed) }) }

// logs is the log as raft sees it. A write that fails makes a leader step down;
// it is noted here, so that the node says why it is not ready.
type logs struct {
	*raftboltdb.BoltStore
	store *store
}

var (
	_ raft.LogStore    = (*logs)(nil)
	_ raft.StableStore = (*stable)(nil)
)

// StoreLog implements raft.LogStore.
func (l *logs) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore.
func (l *logs) StoreLogs(entries []*raft.Log) error {
	err := l.BoltStore.StoreLogs(entries)
	l.store.noted(err)
	return err
}

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

// stable is term and vote as raft sees them. Raft panics where a new term can't
// be saved. A full disk should not end the process: it can still answer reads,
// and someone may make room. So saving is tried until it works; as long as it
// does not, the node takes no part in elections, which is what it has to do.
type stable struct {
	*raftboltdb.BoltStore
	store *store
}

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
)

func (s *stable) persist(save func() error) error {
	pause := firstRetry
	for {
		err := save()
		s.store.noted(err)
		if err == nil {
			return nil
		}
		s.store.logger.Error("term and vote can't be saved", "error", err)
		select {
		case <-time.After(pause):
			pause = min(2*pause, lastRetry)
		case <-s.store.closed:
			// The node is being shut down. Raft would panic on the error; ending its
			// goroutine leaves the old term on disk, as after a crash.
			runtime.Goexit()
		}
	}
}

// Set implements raft.StableStore.
func (s *stable) Set(key, value []byte) error {
	return s.persist(func() error { return s.BoltStore.Set(key, value) })
}

// SetUint64 implements raft.StableStore.
func (s *stable) SetUint64(key []byte, value uint64) error {
	return s.persist(func() error { return s.BoltStore.SetUint64(key, value) })
}

// timedSnapshots tells how long snapshots took and how large they are.
type timedSnapshots struct {
	raft.SnapshotStore
	events *Events
}

// Create implements raft.SnapshotStore.
func (t *timedSnapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, trans raft.Transport,
) (raft.SnapshotSink, error) {
	start := time.Now()
	sink, err := t.SnapshotStore.Create(version, index, term, configuration, configurationIndex, trans)
	if err != nil {
		t.events.snapshotTaken(0, time.Since(start), err)
		return nil, err
	}
	return &timedSink{SnapshotSink: sink, start: start, events: t.events}, nil
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
