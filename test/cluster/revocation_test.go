package cluster_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// revocationsEnv says how many keys TestRevokedKeysAreNotHonoured revokes.
const revocationsEnv = "FLOEBERG_TEST_REVOCATIONS"

func revocations(t *testing.T) int {
	t.Helper()
	text := os.Getenv(revocationsEnv)
	if text == "" {
		return 90
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: expected a number of keys, not %q", revocationsEnv, text)
	}
	return n
}

// TestRevokedKeysAreNotHonoured makes keys through one node, uses them, revokes them
// through another and uses them at once through a third, reads and changes, while
// other clients write through all nodes and the leader is killed now and then: once
// its end is acknowledged, no key is honoured, nor a token that was given for it.
func TestRevokedKeysAreNotHonoured(t *testing.T) {
	const workers = 3
	total := revocations(t)
	// Whoever presents what was revoked so often is not answered at all otherwise.
	c := start(t, cluster.Options{Args: []string{"--rate-limit-failures", "0"}})
	ns := namespace(t, c.Client())
	name, _ := table(t, c.Client(), ns)
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	load := underLoad(ctx, t, c, ns, &others)
	var next atomic.Int64
	done := make(chan struct{})
	others.Go(func() { leadersDie(ctx, t, c, &next, total, done) })
	nodes := make([]*client.Client, len(c.Nodes))
	for i := range nodes {
		nodes[i] = c.At(i)
	}
	errs := make([]error, workers)
	var wg sync.WaitGroup
	began := time.Now()
	for w := range workers {
		wg.Go(func() {
			r := revoker{t: t, nodes: nodes, ns: ns, table: name}
			for n := next.Add(1); n <= int64(total) && errs[w] == nil; n = next.Add(1) {
				errs[w] = r.revoke(int(n))
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	close(done)
	cancel()
	others.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d keys revoked in %s, while %d other changes were made", total, took.Round(time.Millisecond), load.Load())
}

// underLoad has others write through all nodes until the context ends.
func underLoad(ctx context.Context, t *testing.T, c *cluster.Cluster, ns string, wg *sync.WaitGroup) *atomic.Int64 {
	t.Helper()
	var made atomic.Int64
	for i := range 4 {
		all := c.Client()
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				res, err := all.CreateNamespace(ctx, nil, ns, fmt.Sprintf("load_%d_%d", i, n))
				if err == nil && res.Status == http.StatusOK {
					made.Add(1)
				}
			}
		})
	}
	return &made
}

// leadersDie kills the leader after each third of the keys, and starts it again.
func leadersDie(ctx context.Context, t *testing.T, c *cluster.Cluster, next *atomic.Int64, total int, done <-chan struct{}) {
	for third := 1; third <= 2; third++ {
		for next.Load() < int64(third*total/3) {
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
		leader, err := c.Leader(ctx)
		if err != nil {
			return // the test has ended
		}
		victim := c.Nodes[leader]
		if err := victim.Kill9(); err != nil {
			t.Error(err)
			return
		}
		t.Logf("killed %s, which led", victim.ID)
		if err := victim.Start(); err != nil {
			t.Error(err)
			return
		}
	}
}

// revoker is one worker.
type revoker struct {
	t         *testing.T
	nodes     []*client.Client
	ns, table string
}

// again sends a request through one node until it answers, and says neither that it
// is not now nor that it does not know.
func (r revoker) again(i int, token string, q client.Request) (*client.Response, error) {
	at := r.nodes[i%len(r.nodes)].With(func(o *client.Options) { o.Token = token })
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	for {
		res, err := at.Do(ctx, q)
		if err != nil {
			return nil, err
		}
		if res.Status != http.StatusServiceUnavailable && res.Status != http.StatusInternalServerError {
			return res, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s %s: %s", q.Method, q.Path, res)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// status is nil where an answer has a status.
func status(res *client.Response, err error, want int) error {
	if err == nil && res.Status != want {
		err = fmt.Errorf("want %d, got %s", want, res)
	}
	return err
}

// make makes a key of a group through a node.
func (r revoker) make(n int, group string) (id, secret string, err error) {
	// Without a key of its own: an answer that is lost is a key that nobody has.
	q := client.Request{Method: http.MethodPost, Path: "/management/v1/keys", Body: client.Object{"name": fmt.Sprint("k", n), "groups": []string{group}}}
	for range 20 {
		res, err := r.again(n, cluster.Key, q)
		if err != nil {
			return "", "", err
		}
		var made struct{ ID, Key string }
		switch res.Status {
		case http.StatusOK:
			err := res.Decode(&made)
			return made.ID, made.Key, err
		case http.StatusConflict: // made, and its answer was lost with a leader
		default:
			return "", "", fmt.Errorf("making a key: %s", res)
		}
	}
	return "", "", fmt.Errorf("no key was made")
}

// token asks a node for a token in the place of a key, and uses it on another one.
func (r revoker) token(n int, id, secret string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
	res, err := r.again(n, "", client.Request{
		Method: http.MethodPost, Path: "/v1/oauth/tokens", Body: form.Encode(),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	})
	if err := status(res, err, http.StatusOK); err != nil {
		return "", fmt.Errorf("asking for a token: %w", err)
	}
	var given struct {
		Token string `json:"access_token"`
	}
	if err := res.Decode(&given); err != nil {
		return "", err
	}
	res, err = r.again(n+1, given.Token, get(r.nodes[0].TablePath(r.ns, r.table)))
	if err := status(res, err, http.StatusOK); err != nil {
		return "", fmt.Errorf("a token that was just made: %w", err)
	}
	return given.Token, nil
}

// uses are what a key is used for: reads of all consistencies that promise something,
// and changes.
func (r revoker) uses(n int) map[string]client.Request {
	at := r.nodes[0]
	change := client.CommitRequest(at, r.ns, r.table, nil, []client.Object{setProperty("by", fmt.Sprint(n))})
	made := client.NamespaceRequest(at, nil, r.ns, fmt.Sprint("n", n))
	return map[string]client.Request{
		"load":   get(at.TablePath(r.ns, r.table)),
		"list":   get(at.NamespacePath(r.ns) + "/tables"),
		"head":   {Method: http.MethodHead, Path: at.TablePath(r.ns, r.table)},
		"commit": change,
		"create": made,
		"drop":   {Method: http.MethodDelete, Path: at.NamespacePath(r.ns, fmt.Sprint("n", n))},
	}
}

// revoke makes a key, uses it, revokes it and uses it again.
func (r revoker) revoke(n int) error {
	id, secret, err := r.make(n, "writer")
	if err != nil {
		return err
	}
	for i := range r.nodes {
		res, err := r.again(i, secret, get(r.nodes[i].TablePath(r.ns, r.table)))
		if err := status(res, err, http.StatusOK); err != nil {
			return fmt.Errorf("a key that was just made, on node %d: %w", i, err)
		}
	}
	token, err := r.token(n, id, secret)
	if err != nil {
		return err
	}
	by := n / len(r.nodes) % len(r.nodes)
	res, err := r.again(by, cluster.Key, client.Request{Method: http.MethodPost, Path: "/management/v1/keys/" + id + "/revoke"})
	if err := status(res, err, http.StatusOK); err != nil {
		return fmt.Errorf("revoking a key: %w", err)
	}
	// At once, through all nodes at the same time.
	var wg sync.WaitGroup
	var mu sync.Mutex
	var honoured error
	for what, use := range r.uses(n) {
		for i := range 2 * len(r.nodes) {
			presented := secret
			if i >= len(r.nodes) {
				presented = token
			}
			wg.Go(func() {
				res, err := r.again(i, presented, use)
				if err := status(res, err, http.StatusUnauthorized); err != nil {
					mu.Lock()
					defer mu.Unlock()
					honoured = fmt.Errorf("key %d, revoked through node %d: %s through node %d: %w", n, by, what, i, err)
				}
			})
		}
	}
	wg.Wait()
	return honoured
}
