package faults

import (
	"context"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/load"
	"github.com/floeberg/floeberg/test/network"
)

// cutFor is how long a wire is cut: several elections, and less than a request is
// let wait, so that what waits at a node that was cut off is answered when the
// wire is good again.
const cutFor = 4 * time.Second

// meshed is a cluster whose nodes are on hosts of their own.
type meshed struct {
	*cluster.Cluster
	network *network.Network
}

// mesh starts a cluster on a network that can be broken. Clients are on the
// nodes' hosts: what is cut is between nodes.
func mesh(t *testing.T, hosts int, co cluster.Options) meshed {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes")
	}
	n := network.Start(t, hosts)
	for i := range hosts {
		co.Hosts = append(co.Hosts, n.Host(i))
	}
	return meshed{cluster.Start(t, co), n}
}

// TestPartitions breaks the network between the nodes in one way after the
// other, under load through all of them.
func TestPartitions(t *testing.T) {
	m := mesh(t, 3, cluster.Options{})
	down := network.Link{Down: true}
	for _, cut := range []struct {
		name string
		// progress is that a majority must have gone on meanwhile.
		progress bool
		cut      func(ctx context.Context, leader, follower int)
	}{
		{"leader_alone", true, func(ctx context.Context, leader, _ int) {
			m.network.Isolate(leader)
			rest(ctx, cutFor)
		}},
		{"follower_alone", true, func(ctx context.Context, _, follower int) {
			m.network.Isolate(follower)
			rest(ctx, cutFor)
		}},
		{"leader_is_not_heard", true, func(ctx context.Context, leader, _ int) {
			m.network.From(leader, down)
			rest(ctx, cutFor)
		}},
		{"leader_does_not_hear", true, func(ctx context.Context, leader, _ int) {
			m.network.To(leader, down)
			rest(ctx, cutFor)
		}},
		{"follower_is_not_heard", true, func(ctx context.Context, _, follower int) {
			m.network.From(follower, down)
			rest(ctx, cutFor)
		}},
		{"follower_does_not_hear", true, func(ctx context.Context, _, follower int) {
			m.network.To(follower, down)
			rest(ctx, cutFor)
		}},
		{"one_wire", true, func(ctx context.Context, leader, follower int) {
			m.network.Between(leader, follower, down)
			rest(ctx, cutFor)
		}},
		{"everybody_alone", false, func(ctx context.Context, _, _ int) {
			m.network.Everywhere(down)
			rest(ctx, cutFor)
		}},
		{"flapping", false, func(ctx context.Context, leader, _ int) {
			for range 5 {
				m.network.Isolate(leader)
				rest(ctx, cutFor/8)
				m.network.Heal()
				rest(ctx, cutFor/8)
			}
		}},
		{"slow", true, func(ctx context.Context, _, _ int) {
			m.network.Everywhere(network.Link{Delay: 40 * time.Millisecond})
			rest(ctx, cutFor)
		}},
		{"lossy_and_out_of_order", true, func(ctx context.Context, _, _ int) {
			m.network.Everywhere(network.Link{Loss: 0.1, Jitter: 20 * time.Millisecond})
			rest(ctx, cutFor)
		}},
	} {
		t.Run(cut.name, func(t *testing.T) {
			l, err := load.New(within(t, time.Minute), m.Client(), load.Options{Namespace: cut.name})
			must(t, err)
			leader := m.MustLeader(t)
			followers := others(m.Cluster, leader)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for _, i := range every(m.Cluster) {
				l.Go(ctx, m.At(i), workers/2)
			}
			must(t, l.AwaitWrites(within(t, time.Minute), time.Now()))
			began := time.Now()
			cut.cut(ctx, leader, followers[0])
			if cut.progress {
				// What was under way at the moment of the cut does not count.
				if err := l.AwaitWrites(within(t, 20*time.Second), began.Add(cutFor/4)); err != nil {
					t.Errorf("a majority that can hear each other: %v", err)
				}
			}
			healed := time.Now()
			m.network.Heal()
			must(t, m.AwaitReady(within(t, time.Minute)))
			must(t, l.AwaitWrites(within(t, time.Minute), healed))
			cancel()
			l.Wait()
			t.Logf("%d writes while it was cut, longest time without one %s; %s", len(l.History.Written(began, healed)), l.LongestGap(began, healed), m.network)
			judge(t, m.Cluster, l, noFailure)
		})
	}
}
