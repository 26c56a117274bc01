package cluster_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// policyChangesEnv says how many changes of policies TestPoliciesHoldAtOnce makes.
const policyChangesEnv = "FLOEBERG_TEST_POLICY_CHANGES"

func policyChanges(t *testing.T) int {
	t.Helper()
	text := os.Getenv(policyChangesEnv)
	if text == "" {
		return 40
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: expected a number of changes, not %q", policyChangesEnv, text)
	}
	return n
}

const (
	adminsMay = `permit (principal in Floeberg::Group::"admin", action, resource);
`
	teamMay = adminsMay + `permit (
	principal in Floeberg::Group::"team",
	action in [Floeberg::Action::"Read", Floeberg::Action::"Write"],
	resource in Floeberg::Warehouse::"default"
);
`
	teamMayNot = `forbid (principal in Floeberg::Group::"team", action, resource);
`
)

// policyStep is a change of policies after which the team may, or may not.
type policyStep struct {
	warehouse, text string
	may             bool
}

// policySteps take the right in all ways and give it back: by what the cluster
// permits, by what it forbids, and by what the warehouse forbids.
var policySteps = []policyStep{
	{"", teamMay, true}, {"", adminsMay, false}, {"", teamMay, true}, {"", teamMay + teamMayNot, false}, {"", teamMay, true},
	{"default", teamMayNot, false}, {"default", "", true}, {"default", teamMayNot, false}, {"", adminsMay, false}, {"default", "", false},
}

// TestPoliciesHoldAtOnce changes policies through one node after the other and has
// a member of a team use them at once through all nodes, reads and changes, while others write through
// all nodes and the leader is killed now and then: once a change is acknowledged, no
// node decides by what was before, neither for the team nor against it.
func TestPoliciesHoldAtOnce(t *testing.T) {
	total := policyChanges(t)
	c := start(t, cluster.Options{})
	ns := namespace(t, c.Client())
	name, _ := table(t, c.Client(), ns)
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	load := underLoad(ctx, t, c, ns, &others)
	var next atomic.Int64
	done := make(chan struct{})
	others.Go(func() { leadersDie(ctx, t, c, &next, total, done) })
	r := revoker{t: t, ns: ns, table: name}
	for i := range c.Nodes {
		r.nodes = append(r.nodes, c.At(i))
	}
	began := time.Now()
	_, secret, err := r.make(0, "team")
	for n := 1; n <= total && err == nil; n++ {
		next.Store(int64(n))
		err = r.changePolicies(n, secret)
	}
	took := time.Since(began)
	close(done)
	cancel()
	others.Wait()
	if err != nil {
		t.Error(err)
	}
	t.Logf("policies changed %d times in %s, while %d other changes were made", total, took.Round(time.Millisecond), load.Load())
}

// changePolicies makes the n-th change and uses what it leads to.
func (r revoker) changePolicies(n int, secret string) error {
	step := policySteps[(n-1)%len(policySteps)]
	by := n % len(r.nodes)
	put := client.Request{Method: http.MethodPut, Path: "/management/v1/policies", Body: client.Object{"text": step.text}}
	if step.warehouse != "" {
		put.Path += "?warehouse=" + step.warehouse
	}
	res, err := r.again(by, cluster.Key, put)
	if err := status(res, err, http.StatusOK); err != nil {
		return fmt.Errorf("change %d of policies: %w", n, err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var wrong error
	for what, use := range r.uses(n) {
		for i := range r.nodes {
			wg.Go(func() {
				res, err := r.again(i, secret, use)
				if err == nil && denied(res) == step.may {
					err = fmt.Errorf("got %s", res)
				}
				if err != nil {
					mu.Lock()
					defer mu.Unlock()
					wrong = fmt.Errorf("change %d of policies, through node %d, after which the team may: %v; %s through node %d: %w", n, by, step.may, what, i, err)
				}
			})
		}
	}
	wg.Wait()
	return wrong
}

// denied tells that somebody may not do what was asked for: 403, or, of what must
// not be seen, that it is not there.
func denied(res *client.Response) bool {
	return res.Status == http.StatusForbidden || res.Status == http.StatusNotFound && (len(res.Body) == 0 || res.Error().Type == "NoSuchWarehouseException")
}
