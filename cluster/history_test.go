package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
	"github.com/floeberg/floeberg/fsm/command"
)

// turmoil troubles a cluster until the context ends: leadership moves, leaders
// are cut off and come back, leaders crash and start again.
func turmoil(ctx context.Context, t *testing.T, c *clustertest.Cluster, random *rand.Rand) {
	t.Helper()
	for kind := 0; ; kind++ {
		select {
		case <-time.After(time.Duration(200+random.IntN(400)) * time.Millisecond):
		case <-ctx.Done():
			return
		}
		leader := c.Leader()
		switch kind % 3 {
		case 0:
			if err := c.Node(leader).Transfer(ctx, ""); err != nil && ctx.Err() == nil {
				t.Logf("transfer: %v", err) // another election came first
			}
		case 1:
			c.Network.Isolate(c.Address(leader), others(c)...)
			select {
			case <-time.After(800 * time.Millisecond):
			case <-ctx.Done():
			}
			c.Network.Heal(c.Address(leader))
		case 2:
			c.KillNode(leader)
			c.StartNode(leader)
		}
	}
}

// Transactions whose precondition is that they are the first to do what they do
// are all applied: one that a retry applied twice would be rejected the second time.
func TestEachProposalIsAppliedOnce(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	unknown := make(map[string]bool)
	total := 0
	for client := range 6 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				n := c.Node((client + i) % 3)
				if n == nil {
					continue // killed at the moment; another one takes the next request
				}
				name := fmt.Sprintf("c%d-%d", client, i)
				limit, done := context.WithTimeout(context.Background(), 10*time.Second)
				r, err := n.Propose(limit, put(name, name, absent(name)))
				done()
				mu.Lock()
				total++
				switch {
				case errors.Is(err, cluster.ErrUnknown):
					unknown[name] = true // its node was killed while it waited
				case errors.Is(err, cluster.ErrUnavailable):
				case err != nil:
					t.Errorf("%s: %v", name, err)
				case r.Outcome != command.Applied:
					t.Errorf("%s through %s: %v (precondition %d)", name, n.ID(), r.Outcome, r.Failed)
				}
				mu.Unlock()
			}
		})
	}
	turmoil(ctx, t, c, rand.New(rand.NewPCG(seed, 1)))
	wg.Wait()
	c.StartAll()
	c.WaitReady()
	t.Logf("%d proposals, %d of unknown outcome", total, len(unknown))
	sumsAgree(t, c)
}

type access struct {
	key      string
	write    bool
	from, to string
}

type answer struct {
	value   string // of a read
	applied bool   // of a write
	unknown bool
}

// register is one key: compare-and-set between unique values, and reads.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := make(map[string][]porcupine.Operation)
		for _, op := range history {
			k := op.Input.(access).key
			byKey[k] = append(byKey[k], op)
		}
		var out [][]porcupine.Operation
		for _, ops := range byKey {
			out = append(out, ops)
		}
		return out
	},
	Init: func() any { return "" },
	Step: func(s, input, output any) (bool, any) {
		value, in, out := s.(string), input.(access), output.(answer)
		switch {
		case !in.write:
			return out.value == value, value
		case out.unknown:
			// It may happen at any time after its call, at the very end too.
			if value == in.from {
				return true, in.to
			}
			return true, value
		case out.applied:
			return value == in.from, in.to
		default:
			return value != in.from, value
		}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// Whatever happens to leaders, what clients see through any node is what one
// register would have shown them.
func TestHistoriesAreLinearizable(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Second)
	defer cancel()
	start := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	var forever []int // operations of unknown outcome have no end
	record := func(client int, call time.Duration, in access, out answer) {
		mu.Lock()
		defer mu.Unlock()
		if out.unknown {
			forever = append(forever, len(history))
		}
		history = append(history, porcupine.Operation{
			ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(time.Since(start)),
		})
	}
	var wg sync.WaitGroup
	for client := range 6 {
		random := rand.New(rand.NewPCG(seed, uint64(client)+10))
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				n := c.Node(random.IntN(3))
				if n == nil {
					continue
				}
				name := fmt.Sprintf("k%d", random.IntN(4))
				oneRound(t, n, client, i, name, start, record)
			}
		})
	}
	turmoil(ctx, t, c, rand.New(rand.NewPCG(seed, 2)))
	wg.Wait()
	end := int64(time.Since(start)) + 1
	for _, i := range forever {
		history[i].Return = end
	}
	t.Logf("%d operations, %d of unknown outcome", len(history), len(forever))
	if got := porcupine.CheckOperationsTimeout(register, history, 20*time.Second); got != porcupine.Ok {
		t.Errorf("the history is not linearizable: %v", got)
	}
}

func oneRound(t *testing.T, n *cluster.Node, client, i int, name string, start time.Time,
	record func(int, time.Duration, access, answer),
) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	call := time.Since(start)
	value, revision, err := read(ctx, n, cluster.Linearizable, name)
	if err != nil {
		return // a read that gave nothing says nothing
	}
	record(client, call, access{key: name}, answer{value: value})
	if i%2 == 1 {
		return
	}
	pre := absent(name)
	if revision > 0 {
		pre = atRevision(name, revision)
	}
	in := access{key: name, write: true, from: value, to: fmt.Sprintf("%d-%d", client, i)}
	call = time.Since(start)
	r, err := n.Propose(ctx, put(name, in.to, pre))
	switch {
	case errors.Is(err, cluster.ErrUnknown):
		record(client, call, in, answer{unknown: true})
	case errors.Is(err, cluster.ErrUnavailable):
		// Never applied, now or later: as if it had not been.
	case err != nil:
		t.Errorf("propose: %v", err)
	case r.Outcome == command.Expired:
	default:
		record(client, call, in, answer{applied: r.Outcome == command.Applied})
	}
}
