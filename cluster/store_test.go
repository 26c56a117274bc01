package cluster

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"
)

func newTestStore(t *testing.T) *store {
	t.Helper()
	opts := &Options{Dir: filepath.Join(t.TempDir(), "raft")}
	s, err := openStore(opts, newRaftLogger(slog.New(slog.DiscardHandler)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var errNoSpace = errors.New("no space left on device")

// A term that can't be saved holds the node up until there is room again: raft
// would end the process.
func TestTermIsSavedWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	st := &stable{s}
	tries := 0
	err := st.persist(func() error {
		tries++
		if tries < 3 {
			return errNoSpace
		}
		if s.failure.Load() == nil {
			t.Error("the failure was not noted")
		}
		return s.set(keyTerm, binary.BigEndian.AppendUint64(nil, 7))
	})
	if err != nil || tries != 3 {
		t.Errorf("%d tries, error %v", tries, err)
	}
	if s.failure.Load() != nil {
		t.Error("it counts as failed after it worked")
	}
	if got, err := st.GetUint64([]byte("CurrentTerm")); err != nil || got != 7 {
		t.Errorf("term %d, %v", got, err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestShutdownDoesNotWaitForADiskThatStaysFull(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	st := &stable{s}
	ended := make(chan struct{})
	began := make(chan struct{})
	var once atomic.Bool
	go func() {
		defer close(ended)
		err := st.persist(func() error {
			if once.CompareAndSwap(false, true) {
				close(began)
			}
			return errNoSpace
		})
		t.Errorf("raft got %v, at which it panics", err)
	}()
	<-began
	s.release()
	<-ended
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestFailedWritesOfTheLogAreTold(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	var told error
	s.events = &Events{LogStoreFailed: func(err error) { told = err }}
	l := &logs{s}
	if err := l.StoreLog(&raft.Log{Index: 1, Term: 1}); err != nil || told != nil {
		t.Fatalf("a good write: %v, told %v", err, told)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if err := l.StoreLog(&raft.Log{Index: 2, Term: 1}); err == nil || told == nil || s.failure.Load() == nil {
		t.Errorf("a write into a closed file: %v, told %v", err, told)
	}
}

// A node that is killed while it writes a snapshot leaves half of one, as large as
// the state may be. Raft never removes it.
func TestHalfWrittenSnapshotsAreRemoved(t *testing.T) {
	t.Parallel()
	opts := &Options{Dir: t.TempDir()}
	logger := newRaftLogger(slog.New(slog.DiscardHandler))
	s, err := openStore(opts, logger, nil)
	if err != nil {
		t.Fatal(err)
	}
	create := func(index uint64) raft.SnapshotSink {
		sink, err := s.snapshots.Create(raft.SnapshotVersionMax, index, 1, raft.Configuration{}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		return sink
	}
	if err := create(1).Close(); err != nil {
		t.Fatal(err)
	}
	create(2) // and the process ends
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if s, err = openStore(opts, logger, nil); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(opts.Dir, "snapshots"))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := s.snapshots.List()
	if err != nil || len(whole) != 1 || len(left) != 1 || left[0].Name() != whole[0].ID {
		t.Errorf("%v is left, whole are %v, %v", left, whole, err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
