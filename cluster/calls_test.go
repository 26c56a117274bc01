package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
)

// stranger speaks the node-to-node protocol without being a node.
func stranger(t *testing.T) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		Protocols: protocols,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			_, err = conn.Write([]byte{0x02})
			return conn, err
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func TestCallsThatAreNotOneOfOurs(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Nodes: 1})
	c.Await("the identity", func() string {
		if c.Node(0).ClusterID() == "" {
			return "there is none"
		}
		return ""
	})
	client := stranger(t)
	base := "http://" + c.Address(0)
	for name, test := range map[string]struct {
		method, path, cluster string
		body                  []byte
		want                  int
	}{
		"a good one":        {"POST", "/cluster/v1/hello", "", nil, http.StatusOK},
		"another cluster":   {"POST", "/cluster/v1/propose", "0000", nil, http.StatusMisdirectedRequest},
		"no protobuf":       {"POST", "/cluster/v1/propose", "", []byte("\xff\xff\xff"), http.StatusBadRequest},
		"no such call":      {"POST", "/cluster/v9/propose", "", nil, http.StatusNotFound},
		"not a call at all": {"GET", "/cluster/v1/hello", "", nil, http.StatusMethodNotAllowed},
		"an empty proposal": {"POST", "/cluster/v1/propose", "", []byte{0x0a, 0x00}, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest(test.method, base+test.path, bytes.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if test.cluster != "" {
				req.Header.Set("Floeberg-Cluster", test.cluster)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != test.want {
				t.Errorf("status %d, want %d", resp.StatusCode, test.want)
			}
		})
	}
}

func TestConnectionsThatSayNothingUseful(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Nodes: 1})
	for name, bytes := range map[string]string{
		"another protocol": "GET / HTTP/1.1\r\n\r\n",
		"an unknown kind":  "\x7f",
		"garbage to raft":  "\x01\xff\xff\xff\xff",
		"garbage to calls": "\x02" + strings.Repeat("x", 100),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", c.Address(0))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write([]byte(bytes)); err != nil {
				t.Fatal(err)
			}
			var netErr net.Error
			if _, err := io.Copy(io.Discard, conn); errors.As(err, &netErr) && netErr.Timeout() {
				t.Error("the connection was left open")
			}
		})
	}
	mustPropose(t, c.Node(0), put("a", "1"))
}

func TestStatusOfOthers(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	leader := clustertest.ID(c.Leader())
	for i := range c.Len() {
		s, err := c.Node(0).Ask(within(t, 10*time.Second), clustertest.ID(i))
		if err != nil {
			t.Fatal(err)
		}
		if s.ID != clustertest.ID(i) || s.LeaderID != leader || s.AppliedIndex == 0 || s.NotReady != "" || s.Version != "test" {
			t.Errorf("%s says %+v", clustertest.ID(i), s)
		}
	}
	if _, err := c.Node(0).Ask(within(t, time.Second), "nobody"); !errors.Is(err, cluster.ErrNoSuchNode) {
		t.Errorf("a node that does not exist: %v", err)
	}
	if got := c.Node(1).Status().LeaderHTTP; got != "http://"+leader {
		t.Errorf("the leader's HTTP address is %q", got)
	}
	f, err := c.Node(0).Figures()
	if err != nil || f.AppliedIndex == 0 || f.LogLast == 0 || f.LogFirst == 0 {
		t.Errorf("figures %+v, %v", f, err)
	}
}
