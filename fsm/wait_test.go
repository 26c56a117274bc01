package fsm_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/floeberg/floeberg/fsm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Everybody is woken by the entry they wait for, whatever the order they came in.
func TestWaitApplied(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	if err := m.WaitApplied(t.Context(), 0); err != nil {
		t.Error(err)
	}
	var done sync.WaitGroup
	for i := range uint64(200) {
		index := i*37%200 + 1
		done.Go(func() {
			if err := m.WaitApplied(t.Context(), index); err != nil {
				t.Error(err)
			}
			v, err := m.View()
			if err != nil {
				t.Error(err)
				return
			}
			defer v.Close()
			if v.Index < index {
				t.Errorf("woken for %d, the view is at %d", index, v.Index)
			}
		})
	}
	for index := uint64(1); index <= 200; index++ {
		one(t, m, index, 1, transaction(index, put("a", "1")))
	}
	done.Wait()
}

func TestWaitEnds(t *testing.T) {
	t.Parallel()
	m, err := fsm.Open(options(vfs.NewMem(), nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := m.WaitApplied(ctx, 5); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("out of time: %v", err)
	}
	waiting := make(chan error)
	go func() { waiting <- m.WaitApplied(t.Context(), 5) }()
	closeMachine(t, m)
	if err := <-waiting; !errors.Is(err, fsm.ErrClosed) {
		t.Errorf("closed while waiting: %v", err)
	}
	if err := m.WaitApplied(t.Context(), 5); !errors.Is(err, fsm.ErrClosed) {
		t.Errorf("closed before waiting: %v", err)
	}
	if _, err := m.View(); !errors.Is(err, fsm.ErrClosed) {
		t.Errorf("view: %v", err)
	}
	if err := m.Flush(); !errors.Is(err, fsm.ErrClosed) {
		t.Errorf("flush: %v", err)
	}
	if err, _ := m.Apply(entryLog(t, 1, openTerm(1))).(error); !errors.Is(err, fsm.ErrClosed) {
		t.Errorf("apply: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

// Views show one moment each and outlive restores and Close.
func TestViewsAmongWritesAndRestores(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	one(t, m, 1, 1, transaction(1, put("a", "1"), put("b", "1")))
	early := dump(t, m)
	stop := make(chan struct{})
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				v, err := m.View()
				if err != nil {
					t.Error(err)
					return
				}
				got := viewContents(t, v)
				if got["a"] != got["b"] {
					t.Errorf("half a transaction: %v", got)
				}
				// Index and time belong to the values: transaction n is entry n at n ms.
				if v.Index != v.TimeMs {
					t.Errorf("index %d, time %d", v.Index, v.TimeMs)
				}
				v.Close()
			}
		})
	}
	for round := range uint64(5) {
		for index := uint64(2); index < 60; index++ {
			one(t, m, index, index, transaction(round*100+index, put("a", "x"), put("b", "x")))
		}
		if err := restore(m, early); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	done.Wait()

	last, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	if err := restore(m, early); err != nil {
		t.Fatal(err)
	}
	closeMachine(t, m)
	if got := viewContents(t, last); got["a"] != "1@1" {
		t.Errorf("a view of a closed machine: %v", got)
	}
	last.Close()
}
