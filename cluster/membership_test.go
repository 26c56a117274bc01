package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
)

// quick makes the leader look often and promote soon, and n1 found a cluster that
// the others are to join.
func quick(founders int, more ...func(i int, o *cluster.Options)) func(int, *cluster.Options) {
	return func(i int, o *cluster.Options) {
		o.SurveyInterval, o.StabilizeAfter = 20*time.Millisecond, 100*time.Millisecond
		o.BootstrapExpect = founders
		switch {
		case i >= founders:
			o.BootstrapExpect = cluster.NeverFound
		case founders == 1:
			o.Join = nil
		}
		for _, f := range more {
			f(i, o)
		}
	}
}

// roles are the members and what they are, as the leader sees them.
func roles(t *testing.T, n *cluster.Node) map[string]string {
	t.Helper()
	o, err := n.Overview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for _, m := range o.Members {
		out[m.ID] = m.Role
		if m.Role == cluster.RoleLeader {
			out[m.ID] = cluster.RoleVoter
		}
	}
	return out
}

func awaitRoles(t *testing.T, c *clustertest.Cluster, through int, want map[string]string) {
	t.Helper()
	c.Await("the members to be as they should", func() string { return cmp.Diff(want, roles(t, c.Node(through))) })
}

func voters(ids ...string) map[string]string {
	out := make(map[string]string)
	for _, id := range ids {
		out[id] = cluster.RoleVoter
	}
	return out
}

// A cluster grows from one node to five with nothing but starts, and shrinks again
// through whichever node is asked.
func TestGrowAndShrink(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Nodes: 5, Stopped: true, Adjust: quick(1)})
	c.StartNode(0)
	c.WaitReady()
	mustPropose(t, c.Node(0), put("a", "1"))
	c.StartNode(1)
	c.StartNode(2)
	awaitRoles(t, c, 0, voters("n1", "n2", "n3"))
	c.StartNode(3)
	c.StartNode(4)
	awaitRoles(t, c, 4, voters("n1", "n2", "n3", "n4", "n5"))
	c.Await("five voters without a warning", func() string {
		o, err := c.Node(3).Overview(t.Context())
		if err != nil || o.FailureTolerance != 2 || o.Leader == "" || len(o.Warnings) != 0 {
			return fmt.Sprintf("%+v, %v", o, err)
		}
		return ""
	})
	c.KillNode(1)
	c.KillNode(2)
	mustPropose(t, c.Node(4), put("a", "2"))
	for i := range 2 {
		for _, id := range []string{"n2", "n3"} {
			// The second time it is so already.
			if err := c.Node(3+i).Remove(t.Context(), id); err != nil {
				t.Fatalf("removing %s: %v", id, err)
			}
		}
	}
	awaitRoles(t, c, 3, voters("n1", "n4", "n5"))
	leader := c.Leader()
	if err := c.Node(3).Remove(t.Context(), clustertest.ID(leader)); err != nil {
		t.Fatalf("removing the leader: %v", err)
	}
	left := 0
	for _, i := range []int{0, 3, 4} {
		if i != leader {
			left = i
		}
	}
	if got := mustRead(t, c.Node(left), "a"); got != "2" {
		t.Errorf("read %q, want 2", got)
	}
	if err := c.Node(left).Remove(t.Context(), "n2"); err != nil {
		t.Errorf("removing n2 again, through another leader: %v", err)
	}
}

func wantRefusal(t *testing.T, what string, err error, says ...string) {
	t.Helper()
	if !errors.Is(err, cluster.ErrRefused) {
		t.Errorf("%s: %v", what, err)
		return
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %q does not say %q", what, err, text)
		}
	}
}

func TestChangesThatWouldCostTheQuorum(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Adjust: quick(3)})
	leader := c.Leader()
	dead, alive := (leader+1)%3, (leader+2)%3
	c.KillNode(dead)
	ctx := t.Context()
	for _, id := range []string{clustertest.ID(alive), clustertest.ID(leader)} {
		says := []string{"3 voters, 2 answer", id + " would leave 2 voters of which 1 answers, and 2 are needed"}
		wantRefusal(t, "removing "+id, c.Node(alive).Remove(ctx, id), says...)
		wantRefusal(t, "demoting "+id, c.Node(leader).Demote(ctx, id), says...)
	}
	for what, err := range map[string]error{
		"removing": c.Node(alive).Remove(ctx, "nobody"), "promoting": c.Node(leader).Promote(ctx, "nobody"),
		"demoting": c.Node(alive).Demote(ctx, "nobody"), "handing over to": c.Node(alive).Transfer(ctx, "nobody"),
	} {
		if !errors.Is(err, cluster.ErrNoSuchNode) {
			t.Errorf("%s nobody: %v", what, err)
		}
	}
	wantRefusal(t, "handing over to a dead node", c.Node(alive).Transfer(ctx, clustertest.ID(dead)), "stays with")
	if err := c.Node(alive).Remove(ctx, clustertest.ID(dead)); err != nil {
		t.Fatalf("removing the dead node: %v", err)
	}
	if err := c.Node(leader).Remove(ctx, clustertest.ID(alive)); err != nil {
		t.Fatalf("removing one of two that answer: %v", err)
	}
	last := clustertest.ID(leader)
	wantRefusal(t, "removing the only voter", c.Node(leader).Remove(ctx, last), "the only one")
	wantRefusal(t, "demoting the only voter", c.Node(leader).Demote(ctx, last), "the only one")
	wantRefusal(t, "leaving as the only voter", c.Node(leader).Leave(ctx), "the only one")
	wantRefusal(t, "a transfer by the only voter", c.Node(leader).Transfer(ctx, ""), "the only voter")
	mustPropose(t, c.Node(leader), put("a", "1"))
}

// A leader that is cut off sees nobody answer before it loses office. That is no
// reason to refuse a change: the next leader makes it.
func TestAChangeOutlivesItsLeader(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(n *cluster.Node, ctx context.Context, id string) error
		became func(old string, id string, roles map[string]string) bool
	}{
		"remove":   {(*cluster.Node).Remove, func(_, id string, roles map[string]string) bool { return roles[id] == "" }},
		"demote":   {(*cluster.Node).Demote, func(_, id string, roles map[string]string) bool { return roles[id] == cluster.RoleNonvoter }},
		"transfer": {(*cluster.Node).Transfer, func(_, id string, roles map[string]string) bool { return roles[id] == cluster.RoleLeader }},
		"transfer to anybody": {
			func(n *cluster.Node, ctx context.Context, _ string) error { return n.Transfer(ctx, "") },
			func(old, _ string, roles map[string]string) bool { return roles[old] == cluster.RoleVoter },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clustertest.Start(t, clustertest.Options{Adjust: quick(3)})
			leader := c.Leader()
			old, id := clustertest.ID(leader), clustertest.ID((leader+1)%3)
			node, ctx, done := c.Node(leader), within(t, 20*time.Second), make(chan error, 1)
			c.Network.Isolate(c.Address(leader), others(c)...)
			go func() { done <- test.change(node, ctx, id) }()
			c.Await("the leader to lose office", func() string {
				if s := node.Status(); s.State == "Leader" {
					return "it leads"
				}
				return ""
			})
			c.Network.Heal(c.Address(leader))
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			c.Await("the change", func() string {
				o, err := node.Overview(ctx)
				if err != nil {
					return err.Error()
				}
				roles := make(map[string]string)
				for _, m := range o.Members {
					roles[m.ID] = m.Role
				}
				if o.Leader == "" || !test.became(old, id, roles) {
					return fmt.Sprint(roles)
				}
				return ""
			})
		})
	}
}

func TestWithoutQuorumNothingChangesAndTheStatusSaysWhy(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Adjust: quick(3)})
	leader := c.Leader()
	c.KillNode((leader + 1) % 3)
	c.KillNode((leader + 2) % 3)
	c.Await("the leader to step down", func() string {
		if s := c.Node(leader).Status(); s.State == "Leader" {
			return s.State
		}
		return ""
	})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := c.Node(leader).Remove(ctx, clustertest.ID((leader+1)%3)); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("a removal without a quorum: %v", err)
	}
	o, err := c.Node(leader).Overview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o.Leader != "" || o.FailureTolerance != 0 || len(o.Members) != 3 || !strings.Contains(strings.Join(o.Warnings, "\n"), "3 voters, 1 answers from here, and 2 are needed") {
		t.Errorf("%+v", o)
	}
	for _, m := range o.Members {
		if up := m.ID == clustertest.ID(leader); up == (m.Health == cluster.HealthUnreachable) {
			t.Errorf("%+v", m)
		}
	}
}

// A nonvoter that is meant to stay one gets no vote by itself, nor does one that
// was demoted; both get it when they are promoted.
func TestNonvoters(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Nodes: 5, Stopped: true, Adjust: quick(3, func(i int, o *cluster.Options) { o.Nonvoter = i == 3 })})
	for i := range 4 {
		c.StartNode(i)
	}
	c.WaitReady()
	want := voters("n1", "n2", "n3")
	want["n4"] = cluster.RoleNonvoter
	awaitRoles(t, c, 3, want)
	demoted := clustertest.ID(c.Leader())
	if err := c.Node(3).Demote(t.Context(), demoted); err != nil {
		t.Fatal(err)
	}
	if err := c.Node(3).Demote(t.Context(), demoted); err != nil {
		t.Errorf("a second time: %v", err)
	}
	c.StartNode(4) // when this one has got its vote, the others have had their time
	want[demoted], want["n5"] = cluster.RoleNonvoter, cluster.RoleVoter
	awaitRoles(t, c, 3, want)
	mustPropose(t, c.Node(3), put("a", "1"))
	if got := mustRead(t, c.Node(3), "a"); got != "1" {
		t.Errorf("read %q, want 1", got)
	}
	wantRefusal(t, "leadership for a nonvoter", c.Node(0).Transfer(t.Context(), "n4"), "has no vote")
	for _, id := range []string{demoted, "n4", "n4"} {
		if err := c.Node(4).Promote(t.Context(), id); err != nil {
			t.Errorf("promoting %s: %v", id, err)
		}
	}
	awaitRoles(t, c, 0, voters("n1", "n2", "n3", "n4", "n5"))
}

func TestTransferFromAnyNode(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Adjust: quick(3)})
	for _, through := range []int{0, 1, 2} {
		to := (c.Leader() + 1) % 3
		for range 2 {
			if err := c.Node(through).Transfer(t.Context(), clustertest.ID(to)); err != nil {
				t.Fatal(err)
			}
		}
		c.Await("the new leader", func() string {
			if s := c.Node(through).Status(); s.LeaderID != clustertest.ID(to) {
				return fmt.Sprintf("%q leads", s.LeaderID)
			}
			return ""
		})
	}
	was := c.Leader()
	if err := c.Node((was+1)%3).Transfer(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	c.Await("another leader", func() string {
		if c.Leader() == was {
			return "it is the same"
		}
		return ""
	})
}

// Many changes at once, from all nodes: each is made or refused, none is lost and
// none undoes another.
func TestChangesAtTheSameTime(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Nodes: 5, Adjust: quick(5)})
	errs := make(chan error)
	for i := range 5 {
		go func() { errs <- c.Node(i).Demote(t.Context(), clustertest.ID((i+1)%5)) }()
	}
	refused := 0
	for range 5 {
		if err := <-errs; errors.Is(err, cluster.ErrRefused) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	if refused != 1 {
		t.Errorf("%d were refused: the last voter keeps its vote, the others lose theirs", refused)
	}
	votes := 0
	for _, role := range roles(t, c.Node(2)) {
		if role == cluster.RoleVoter {
			votes++
		}
	}
	if votes != 1 {
		t.Errorf("%d voters are left", votes)
	}
	mustPropose(t, c.Node(2), put("a", "1"))
}

// A running node that belongs to nothing joins what it is pointed at; one that has
// the state of another cluster does not.
func TestJoinOfARunningNode(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Adjust: quick(3)})
	idle := clustertest.Start(t, clustertest.Options{Nodes: 1, Stopped: true, Adjust: func(_ int, o *cluster.Options) {
		o.ID, o.BootstrapExpect = "idle", cluster.NeverFound
	}})
	idle.StartNode(0)
	for range 2 {
		if err := idle.Node(0).Join(t.Context(), []string{c.GossipAddress(1)}); err != nil {
			t.Fatal(err)
		}
	}
	want := voters("n1", "n2", "n3", "idle")
	awaitRoles(t, c, 0, want)

	foreign := clustertest.Start(t, clustertest.Options{Nodes: 1, Adjust: func(_ int, o *cluster.Options) { o.ID = "foreign" }})
	foreign.Await("its cluster's id", func() string {
		if foreign.Node(0).ClusterID() == "" {
			return "none"
		}
		return ""
	})
	wantRefusal(t, "a node of another cluster", foreign.Node(0).Join(t.Context(), []string{c.GossipAddress(0)}), "another cluster", "empty its data folder")
	wantRefusal(t, "no address", foreign.Node(0).Join(t.Context(), []string{"nonsense"}), "nonsense")
	var refusal *cluster.Refusal
	if err := foreign.Node(0).Join(t.Context(), []string{"127.0.0.1:1"}); !errors.As(err, &refusal) || strings.Contains(err.Error(), "\n") {
		t.Errorf("nobody there: %v", err)
	}
	if diff := cmp.Diff(want, roles(t, c.Node(0))); diff != "" {
		t.Error(diff)
	}
}

func TestTheDeadAreRemovedOnlyWhereThatIsSafe(t *testing.T) {
	t.Parallel()
	// A node that lives counts as dead as well while it does not answer.
	const limit = 3 * time.Second
	c := clustertest.Start(t, clustertest.Options{Nodes: 5, Adjust: quick(5, func(_ int, o *cluster.Options) { o.RemoveDeadAfter = limit })})
	leader := c.Leader()
	others := []int{}
	for i := range 5 {
		if i != leader {
			others = append(others, i)
		}
	}
	c.KillNode(others[0])
	c.KillNode(others[1])
	want := voters(clustertest.ID(leader), clustertest.ID(others[2]), clustertest.ID(others[3]))
	awaitRoles(t, c, leader, want)
	// Three are left: nobody makes them fewer, however long one is dead.
	c.KillNode(others[2])
	var since time.Time // when the leader of this term was first seen to miss it
	var term uint64
	c.Await("the dead to be missed for longer than the limit", func() string {
		o, err := c.Node(leader).Overview(t.Context())
		if err != nil {
			return err.Error()
		}
		missed := slices.ContainsFunc(o.Members, func(m cluster.MemberInfo) bool {
			return m.ID == clustertest.ID(others[2]) && m.Health == cluster.HealthUnreachable
		})
		switch {
		case !missed || o.Leader == "" || o.Term != term:
			since, term = time.Now(), o.Term
		case time.Since(since) > limit+time.Second:
			return ""
		}
		return fmt.Sprint(o)
	})
	if diff := cmp.Diff(want, roles(t, c.Node(leader))); diff != "" {
		t.Error(diff)
	}
}
