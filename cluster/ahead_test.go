package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/state"
)

// held is a state machine to which nothing is applied while the gate is shut, as
// where the log's disk is slow.
type held struct {
	*fsm.Machine
	gate *sync.RWMutex
}

func (h *held) ApplyBatch(logs []*raft.Log) []any {
	h.gate.RLock()
	defer h.gate.RUnlock()
	return h.Machine.ApplyBatch(logs)
}

// A follower that can't apply yet what is committed shows it all the same: the
// leader says what it is.
func TestFollowerReadsAheadOfItsLog(t *testing.T) {
	t.Parallel()
	var gates [3]sync.RWMutex
	const follower = 2 // without a vote, so that it never has to lead
	c := clustertest.Start(t, clustertest.Options{
		Adjust:  quick(2, func(i int, o *cluster.Options) { o.Nonvoter = i == follower }),
		Machine: func(i int, m *fsm.Machine) cluster.Machine { return &held{m, &gates[i]} },
	})
	n, leader := c.Node(follower), c.Node(c.Leader())
	mustPropose(t, leader, put("a", "0"))
	mustRead(t, n, "a")

	gates[follower].Lock()
	shut := true
	open := func() {
		if shut {
			gates[follower].Unlock()
		}
		shut = false
	}
	defer open()
	before, _ := c.Machine(follower).Applied()
	for i := range 40 {
		mustPropose(t, leader, put("a", fmt.Sprint(i)))
		if got := mustRead(t, n, "a"); got != fmt.Sprint(i) {
			t.Fatalf("read %q, written was %d", got, i)
		}
	}
	view, err := n.View(within(t, 10*time.Second), cluster.Bounded, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if v, _, err := view.Get(key("a")); err != nil || string(v.Data) != "39" {
		t.Errorf("a bounded read shows %q, %v", v.Data, err)
	}
	view.Close()
	for name, look := range map[string]func() (*state.View, error){
		"latest": n.Latest, "proven": func() (*state.View, error) { return n.Proven(t.Context()) },
	} {
		view, err := look()
		if err != nil {
			t.Fatal(err)
		}
		if v, _, err := view.Get(key("a")); err != nil || string(v.Data) != "39" {
			t.Errorf("the %s state has %q, %v: less than was shown", name, v.Data, err)
		}
		view.Close()
	}
	if now, _ := c.Machine(follower).Applied(); now != before {
		t.Fatalf("entry %d was applied through a shut gate", now)
	}

	// Too much for a look ahead has to be waited for.
	for i := range 80 {
		mustPropose(t, leader, put("b", fmt.Sprint(i)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if got, _, err := read(ctx, n, cluster.Linearizable, "b"); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("read %q, %v", got, err)
	}
	open()
	if got := mustRead(t, n, "b"); got != "79" {
		t.Errorf("read %q, written was 79", got)
	}
}
