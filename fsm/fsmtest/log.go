// Package fsmtest is for tests: a log in front of one real state machine.
package fsmtest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// Log is a log that all nodes of a test share: what is proposed is applied
// before the proposal returns, so all of them are always current.
type Log struct {
	machine *fsm.Machine
	mu      sync.Mutex
	index   uint64
}

// NewLog makes a log over a new state machine, which the end of the test closes.
func NewLog(t testing.TB) *Log {
	t.Helper()
	machine, err := fsm.Open(fsm.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := machine.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Log{machine: machine}
}

// Machine is the state machine that the log feeds.
func (l *Log) Machine() *fsm.Machine { return l.machine }

// Propose applies a transaction.
func (l *Log) Propose(_ context.Context, tx *command.Transaction) (command.Result, error) {
	id := uuid.New()
	tx.Id = id[:]
	tx.DeadlineMs = l.NowMs() + 60_000
	data, err := command.Encode(&command.Entry{Commands: []*command.Command{{
		TimeMs: l.NowMs(), Kind: &command.Command_Transaction{Transaction: tx},
	}}}, command.FirstVersion)
	if err != nil {
		return command.Result{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index++
	answers := l.machine.ApplyBatch([]*raft.Log{{Index: l.index, Term: 1, Type: raft.LogCommand, Data: data}})
	results, ok := answers[0].([]command.Result)
	if !ok || len(results) != 1 {
		return command.Result{}, fmt.Errorf("unexpected answer %v", answers)
	}
	return results[0], nil
}

// Index is the last log entry.
func (l *Log) Index() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.index
}

// State is the current state. The caller closes it.
func (l *Log) State() (*state.View, error) { return l.machine.View() }

// WaitApplied returns once the log is applied up to index.
func (l *Log) WaitApplied(ctx context.Context, index uint64) error {
	return l.machine.WaitApplied(ctx, index)
}

// NowMs is the replicated time: this machine's.
func (l *Log) NowMs() uint64 {
	return uint64(time.Now().UnixMilli()) //nolint:forbidigo // where the real thing gets it from outside, this is outside
}

// Put writes a record.
func (l *Log) Put(t testing.TB, key []byte, record proto.Message) {
	t.Helper()
	data, err := state.Encode(record)
	if err != nil {
		t.Fatal(err)
	}
	l.PutBytes(t, key, data)
}

// PutBytes writes what is no record.
func (l *Log) PutBytes(t testing.TB, key, value []byte) {
	t.Helper()
	l.write(t, command.PutValue(key, value))
}

// Delete removes a record.
func (l *Log) Delete(t testing.TB, key []byte) {
	t.Helper()
	l.write(t, command.DeleteKey(key))
}

func (l *Log) write(t testing.TB, write *command.Write) {
	t.Helper()
	res, err := l.Propose(t.Context(), &command.Transaction{Writes: []*command.Write{write}})
	if err != nil || res.Outcome != command.Applied {
		t.Fatalf("writing a record: %v, %v", res, err)
	}
}
