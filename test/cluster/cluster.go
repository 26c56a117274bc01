package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/test/client"
)

// Cluster is a set of nodes that were started together.
type Cluster struct {
	Nodes []*Node

	dir     string
	ownDir  bool
	options Options
}

// KeepEnv names the environment variable that, set to anything, leaves the
// folders of the clusters in place, for whoever looks into a failure.
const KeepEnv = "FLOEBERG_TEST_KEEP"

// Start starts a cluster for one test and waits until every node is ready. With
// the test it ends; where the test failed, the ends of the logs are printed.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c, err := Launch(o)
	if err != nil {
		t.Fatalf("starting a cluster: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Logs(60))
		}
		if err := c.Close(); err != nil {
			t.Errorf("ending the cluster: %v", err)
		}
	})
	return c
}

// Launch is Start for those who have no test at hand: the caller closes.
func Launch(o Options) (*Cluster, error) {
	c, err := Prepare(o)
	if err != nil {
		return nil, err
	}
	for _, n := range c.Nodes {
		if err := n.Start(); err != nil {
			return nil, c.abandon(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.options.ReadyWithin)
	defer cancel()
	if err := c.AwaitReady(ctx); err != nil {
		return nil, c.abandon(err)
	}
	return c, nil
}

// abandon closes a cluster that did not come up, and adds its logs to why.
func (c *Cluster) abandon(why error) error {
	why = fmt.Errorf("%w\n%s", why, c.Logs(30))
	return errors.Join(why, c.Close())
}

// Prepare makes the nodes of a cluster and starts none of them.
func Prepare(o Options) (*Cluster, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	c := &Cluster{dir: o.Dir}
	if c.dir == "" {
		dir, err := os.MkdirTemp("", "floeberg-cluster-")
		if err != nil {
			return nil, err
		}
		c.dir, c.ownDir = dir, true
	}
	if o.Warehouse == "" {
		o.Warehouse = "file://" + filepath.Join(c.dir, "warehouse")
	}
	c.options = o
	var gossip []string
	for i := range o.Nodes {
		n, err := newNode(c.dir, i, o.host(i))
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.Nodes = append(c.Nodes, n)
		gossip = append(gossip, n.gossip)
	}
	for _, n := range c.Nodes {
		n.args = append([]string{"--join", strings.Join(gossip, ",")}, o.args()...)
		if o.ArgsOf != nil {
			n.args = append(n.args, o.ArgsOf(n.ID)...)
		}
		n.env = append([]string{"FLOEBERG_BOOTSTRAP_KEY=" + Key}, o.Env...)
	}
	return c, nil
}

// Grow starts one more node with an empty folder, which is told where the others
// are and founds nothing. It runs on the next host. The arguments are added to its command line.
func (c *Cluster) Grow(args ...string) (*Node, error) {
	n, err := newNode(c.dir, len(c.Nodes), c.options.host(len(c.Nodes)))
	if err != nil {
		return nil, err
	}
	var gossip []string
	for _, other := range c.Nodes {
		gossip = append(gossip, other.gossip)
	}
	n.args = slices.Concat([]string{"--join", strings.Join(gossip, ",")}, c.options.args(), []string{"--bootstrap-expect", "0"}, args)
	n.env = append([]string{"FLOEBERG_BOOTSTRAP_KEY=" + Key}, c.options.Env...)
	c.Nodes = append(c.Nodes, n)
	return n, n.Start()
}

// Idle starts one more node that is told of nobody and founds nothing.
func (c *Cluster) Idle() (*Node, error) {
	n, err := newNode(c.dir, len(c.Nodes), Options{}.host(0))
	if err != nil {
		return nil, err
	}
	n.args = slices.Concat(c.options.args(), []string{"--bootstrap-expect", "0"})
	n.env = append([]string{"FLOEBERG_BOOTSTRAP_KEY=" + Key}, c.options.Env...)
	c.Nodes = append(c.Nodes, n)
	return n, n.Start()
}

// Warehouse is the root of the default warehouse.
func (c *Cluster) Warehouse() string { return c.options.Warehouse }

// Store opens the default warehouse's store, as the nodes do.
func (c *Cluster) Store() (storage.Store, error) {
	var cfg storage.Config
	if s3 := c.options.S3; s3 != nil {
		cfg.S3 = storage.S3Config{Endpoint: s3.Endpoint, Region: s3.Region, AccessKeyID: s3.AccessKey, SecretAccessKey: s3.SecretKey, PathStyle: true}
	}
	return storage.Open(c.options.Warehouse, cfg)
}

// WarehouseDir is the folder of a local warehouse; "" for others.
func (c *Cluster) WarehouseDir() string {
	dir, ok := strings.CutPrefix(c.options.Warehouse, "file://")
	if !ok {
		return ""
	}
	return dir
}

// URLs are where the nodes answer HTTP, in their order.
func (c *Cluster) URLs() []string {
	urls := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		urls[i] = n.URL
	}
	return urls
}

// Client asks all nodes in turn, a different one for every request, and goes to
// the next only where a connection is refused or breaks.
func (c *Cluster) Client() *client.Client {
	return c.client(c.URLs()...)
}

// At asks node i only.
func (c *Cluster) At(i int) *client.Client {
	return c.client(c.Nodes[i].URL)
}

// But asks all nodes in turn but node i.
func (c *Cluster) But(i int) *client.Client {
	urls := c.URLs()
	return c.client(append(urls[:i:i], urls[i+1:]...)...)
}

func (c *Cluster) client(urls ...string) *client.Client {
	return client.New(client.Options{URLs: urls, Token: c.token(), Dial: c.dial})
}

// dial connects to a node's HTTP port, from where that is possible.
func (c *Cluster) dial(ctx context.Context, network, address string) (net.Conn, error) {
	for _, n := range c.Nodes {
		if n.http == address {
			return n.host.Dial(ctx, network, address)
		}
	}
	return nil, fmt.Errorf("no node listens on %s", address)
}

func (c *Cluster) token() string {
	if c.options.NoAuth {
		return ""
	}
	return Key
}

// AwaitReady waits until every running node is ready.
func (c *Cluster) AwaitReady(ctx context.Context) error {
	for _, n := range c.Nodes {
		if !n.Running() {
			return fmt.Errorf("node %s has ended", n.ID)
		}
		err := Await(ctx, "node "+n.ID+" to be ready", func(ctx context.Context) error {
			if !n.Running() {
				return fmt.Errorf("the process has ended")
			}
			return n.Ready(ctx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Leader waits until one running node says that it leads, and gives its place
// in Nodes.
func (c *Cluster) Leader(ctx context.Context) (int, error) {
	leader := -1
	err := Await(ctx, "a leader", func(ctx context.Context) error {
		var errs []error
		for i, n := range c.Nodes {
			if !n.Running() {
				continue
			}
			m, err := n.Metrics(ctx)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if m[`floeberg_raft_state{state="Leader"}`] == 1 {
				leader = i
				return nil
			}
		}
		return errors.Join(append(errs, errors.New("no node says that it leads"))...)
	})
	return leader, err
}

// MustLeader is Leader for a test, within ten seconds.
func (c *Cluster) MustLeader(t testing.TB) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	i, err := c.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// Follower is the place of a running node that does not lead.
func (c *Cluster) Follower(t testing.TB) int {
	t.Helper()
	leader := c.MustLeader(t)
	for i, n := range c.Nodes {
		if i != leader && n.Running() {
			return i
		}
	}
	t.Fatal("the cluster has no follower")
	return -1
}

// Logs is the end of every node's log.
func (c *Cluster) Logs(lines int) string {
	var b strings.Builder
	for _, n := range c.Nodes {
		fmt.Fprintf(&b, "--- log of %s\n%s\n", n.ID, n.Log(lines))
	}
	return b.String()
}

// Close ends every process, all at once, and removes what Launch made.
func (c *Cluster) Close() error {
	errs := make([]error, len(c.Nodes)+1)
	var wg sync.WaitGroup
	for i, n := range c.Nodes {
		if n.current() == nil {
			continue
		}
		wg.Go(func() { errs[i] = n.Kill9() })
	}
	wg.Wait()
	if c.ownDir && os.Getenv(KeepEnv) == "" {
		errs[len(c.Nodes)] = os.RemoveAll(c.dir)
	}
	return errors.Join(errs...)
}
