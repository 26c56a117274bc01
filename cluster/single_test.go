package cluster

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// single starts a node that is a cluster by itself, and waits until it leads.
func single(t *testing.T, adjust func(Machine) Machine) *Node {
	t.Helper()
	dir := t.TempDir()
	machine, err := fsm.Open(fsm.Options{Dir: filepath.Join(dir, "state")})
	if err != nil {
		t.Fatal(err)
	}
	n, err := Start(t.Context(), Options{
		ID: "n1", Dir: filepath.Join(dir, "raft"), Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
	}, adjust(machine))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(n.Close(), machine.Close()); err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); n.ClusterID() == "" || n.Ready() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(n.Ready())
		}
	}
	return n
}

// Probes are answered to everybody: the reason must not tell where files are.
func TestReadyTellsNoPaths(t *testing.T) {
	t.Parallel()
	n := single(t, func(m Machine) Machine { return m })
	n.store.noted(&fs.PathError{Op: "write", Path: "/secret/raft.db", Err: errNoSpace})
	err := n.Ready()
	if !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "the raft log can't be written") || strings.Contains(err.Error(), "secret") {
		t.Errorf("everybody is told %v", err)
	}
}

// held is a machine that applies only when it is let.
type held struct {
	Machine
	entered chan struct{}
	gate    sync.RWMutex
}

func (h *held) ApplyBatch(logs []*raft.Log) []any {
	select {
	case h.entered <- struct{}{}:
	default:
	}
	h.gate.RLock()
	defer h.gate.RUnlock()
	return h.Machine.ApplyBatch(logs)
}

// Raft may stop with committed entries that its state machine has not taken yet,
// and leaves those who wait for them without an answer. The node must end all
// the same, and tell the proposers that it does not know.
func TestShutdownWithEntriesOnTheirWay(t *testing.T) {
	t.Parallel()
	for range 6 { // whether raft still applies the second entry is chance
		h := &held{entered: make(chan struct{}, 1)}
		n := single(t, func(m Machine) Machine { h.Machine = m; return h })
		select {
		case <-h.entered: // of an entry before
		default:
		}
		h.gate.Lock()
		results := make(chan error, 2)
		propose := func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			_, err := n.Propose(ctx, &command.Transaction{Writes: []*command.Write{command.DeleteKey(state.WarehouseKey("a"))}})
			results <- err
		}
		go propose()
		<-h.entered
		before := n.raft.CommitIndex()
		go propose()
		for n.raft.AppliedIndex() <= before {
			time.Sleep(time.Millisecond) // until it waits for the state machine as well
		}
		ended := make(chan error, 1)
		go func() { ended <- n.Abort() }()
		for n.raft.State() != raft.Shutdown {
			time.Sleep(time.Millisecond)
		}
		h.gate.Unlock()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the node does not end")
		}
		for range 2 {
			if err := <-results; err != nil && !errors.Is(err, ErrUnknown) {
				t.Errorf("a proposal that is in the log: %v", err)
			}
		}
	}
}
