package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
)

func TestAskService(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Nodes: 2, Adjust: func(i int, o *cluster.Options) {
		o.Services = map[string]cluster.Service{
			"echo": func(ctx context.Context, question []byte) ([]byte, error) {
				if string(question) == "wait" {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return fmt.Appendf(nil, "%d heard %s", i, question), nil
			},
		}
	}})
	ids := []string{c.Node(0).Status().ID, c.Node(1).Status().ID}
	for i, id := range ids {
		answer, err := c.Node(0).AskService(t.Context(), id, "echo", []byte("hello"))
		if want := fmt.Sprintf("%d heard hello", i); err != nil || string(answer) != want {
			t.Errorf("%s answered %q, %v, want %q", id, answer, err, want)
		}
		if _, err := c.Node(0).AskService(t.Context(), id, "other", nil); err == nil {
			t.Errorf("%s answered for a part that it does not have", id)
		}
	}
	if _, err := c.Node(0).AskService(t.Context(), "nobody", "echo", nil); !errors.Is(err, cluster.ErrNoSuchNode) {
		t.Errorf("nobody: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Node(0).AskService(ctx, ids[1], "echo", []byte("wait")); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("a caller that gives up: %v", err)
	}
	leader := c.Node(0).LeaderID()
	if leader != ids[0] && leader != ids[1] || c.Node(0).Leads() == c.Node(1).Leads() {
		t.Errorf("%q leads", leader)
	}
}
