package history_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/history"
)

// at are operations on one table or name, each given as it was called and
// returned, in milliseconds.
func at(call, end int, op history.Operation) history.Operation {
	began := time.Unix(1_000_000_000, 0)
	op.Entity = "e"
	op.Called = began.Add(time.Duration(call) * time.Millisecond)
	op.Returned = began.Add(time.Duration(end) * time.Millisecond)
	return op
}

func TestCheck(t *testing.T) {
	t.Parallel()
	load := func(id int64) history.Operation { return history.Operation{Kind: history.Load, Current: id} }
	add := func(parent, id int64, fate history.Fate) history.Operation {
		return history.Operation{Kind: history.Append, Parent: parent, ID: id, Fate: fate}
	}
	name := func(kind history.Kind, fate history.Fate) history.Operation {
		return history.Operation{Kind: kind, Fate: fate}
	}
	for what, c := range map[string]struct {
		operations []history.Operation
		want       string // "" is a good history
	}{
		"one after the other": {[]history.Operation{
			at(0, 1, add(0, 7, history.Done)), at(2, 3, load(7)), at(4, 5, add(7, 8, history.Done)), at(6, 7, load(8)),
		}, ""},
		"a conflict": {[]history.Operation{
			at(0, 5, add(0, 7, history.Done)), at(1, 6, add(0, 8, history.Refused)), at(7, 8, load(7)),
		}, ""},
		"a conflict without a cause": {[]history.Operation{
			at(0, 1, add(0, 7, history.Refused)), at(2, 3, load(0)),
		}, "not linearizable"},
		"a stale read": {[]history.Operation{
			at(0, 1, add(0, 7, history.Done)), at(2, 3, load(0)), at(4, 5, load(7)),
		}, "not linearizable"},
		"an acknowledged append that is gone": {[]history.Operation{
			at(0, 1, add(0, 7, history.Done)), at(2, 3, load(0)),
		}, "acknowledged and lost"},
		"two histories": {[]history.Operation{
			at(0, 3, add(0, 7, history.Done)), at(1, 4, add(0, 8, history.Done)), at(5, 6, load(8)),
		}, "acknowledged and lost"},
		"an unknown append that happened": {[]history.Operation{
			at(0, 9, add(0, 7, history.Unknown)), at(2, 3, load(0)), at(4, 5, load(7)), at(10, 11, load(7)),
		}, ""},
		"an unknown append that did not happen": {[]history.Operation{
			at(0, 9, add(0, 7, history.Unknown)), at(2, 3, add(0, 8, history.Done)), at(10, 11, load(8)),
		}, ""},
		"an unknown append that another one built on": {[]history.Operation{
			at(0, 1, add(0, 7, history.Unknown)), at(2, 3, load(7)), at(3, 4, add(7, 8, history.Done)), at(10, 11, load(8)),
		}, ""},
		"an unknown append that comes and goes": {[]history.Operation{
			at(0, 9, add(0, 7, history.Unknown)), at(2, 3, load(7)), at(4, 5, load(0)), at(10, 11, load(7)),
		}, "not linearizable"},
		"what was never recorded shows up": {[]history.Operation{
			at(0, 1, load(0)), at(10, 11, load(9)),
		}, "not linearizable"},
		"names": {[]history.Operation{
			at(0, 1, name(history.Create, history.Done)), at(2, 3, name(history.Create, history.Refused)), at(4, 5, name(history.Look, history.Done)),
			at(6, 7, name(history.Drop, history.Unknown)), at(8, 9, name(history.Look, history.Refused)),
		}, ""},
		"a drop that was answered and did nothing": {[]history.Operation{
			at(0, 1, name(history.Create, history.Done)), at(2, 3, name(history.Drop, history.Done)), at(4, 5, name(history.Look, history.Done)),
		}, "not linearizable"},
		"nothing": {nil, "empty"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var h history.History
			for _, op := range c.operations {
				h.Record(op)
			}
			err := h.Check(10 * time.Second)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("want an error with %q, got %v", c.want, err)
			}
		})
	}
}

// TestMain lets what is drawn of bad histories go with the tests.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "floeberg-history-test-")
	if err != nil {
		panic(err)
	}
	if err := os.Setenv("TMPDIR", dir); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}
