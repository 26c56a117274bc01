package apitest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/floeberg/floeberg/authz/judge"
	"github.com/floeberg/floeberg/fsm/state"
)

// NewJudge decides by the policies of states as they are.
func NewJudge(t testing.TB, view func() (*state.View, error)) *judge.Judge {
	t.Helper()
	states := func(context.Context) (*state.View, error) { return view() }
	j, err := judge.New(judge.Options{
		Local: states, Proven: states, Current: states, DefaultWarehouse: "default",
		NowMs:  func() uint64 { return uint64(time.Now().UnixMilli()) },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// ReadyMade decides by the policies of a cluster that has none of its own.
func ReadyMade(t testing.TB) *judge.Judge {
	t.Helper()
	return NewJudge(t, func() (*state.View, error) { return state.NewView(nothing{}, 1, 1, nil), nil })
}

// nothing is an empty state.
type nothing struct{}

func (nothing) Get([]byte) (state.Value, bool, error)                     { return state.Value{}, false, nil }
func (nothing) Scan(state.KeyRange, func([]byte, state.Value) bool) error { return nil }
