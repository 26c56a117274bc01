package haproxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/haproxy"
)

// lostNodes are three nodes of which whoever gets a request first is lost, as a
// process that is killed, before it answers. They are ready all the time, so
// that nothing but the broken connection tells of it.
type lostNodes struct {
	addresses [3]string

	mu   sync.Mutex
	seen map[string][]int // which nodes got a request, by the path that names it
}

func startLostNodes(t *testing.T, lose func(*testing.T, net.Conn)) *lostNodes {
	t.Helper()
	n := &lostNodes{seen: map[string][]int{}}
	for i := range n.addresses {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/ready" {
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Errorf("%s: reading the body: %v", r.URL.Path, err)
			}
			n.mu.Lock()
			n.seen[r.URL.Path] = append(n.seen[r.URL.Path], i)
			first := len(n.seen[r.URL.Path]) == 1
			n.mu.Unlock()
			if first && strings.HasPrefix(r.URL.Path, "/lost/") {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Errorf("taking over the connection: %v", err)
					return
				}
				lose(t, conn)
				return
			}
			_, _ = w.Write(body) // a client that went away is not missed
		}))
		t.Cleanup(server.Close)
		n.addresses[i] = server.Listener.Addr().String()
	}
	return n
}

// got are the nodes that got the request, in their order.
func (n *lostNodes) got(path string) []int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seen[path]
}

func closed(t *testing.T, conn net.Conn) {
	if err := conn.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
}

func reset(t *testing.T, conn net.Conn) {
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Errorf("setting up a reset: %v", err)
	}
	closed(t, conn)
}

// TestRepeatsOnlyWhatIsSafe loses a node after it took a request. Reads and keyed
// changes are given to another node and the client sees nothing; a change
// without a key is sent once, and its outcome is said to be unknown.
func TestRepeatsOnlyWhatIsSafe(t *testing.T) {
	t.Parallel()
	for how, lose := range map[string]func(*testing.T, net.Conn){"closed": closed, "reset": reset} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			nodes := startLostNodes(t, lose)
			proxy := haproxy.Start(t, nodes.addresses)
			for name, test := range map[string]struct {
				method string
				keyed  bool
				size   int
				want   int
			}{
				"read":                 {method: http.MethodGet, want: http.StatusOK},
				"head":                 {method: http.MethodHead, want: http.StatusOK},
				"keyed-post":           {method: http.MethodPost, keyed: true, size: 100, want: http.StatusOK},
				"keyed-post-large":     {method: http.MethodPost, keyed: true, size: 100 << 10, want: http.StatusOK},
				"keyed-post-too-large": {method: http.MethodPost, keyed: true, size: 1 << 20, want: http.StatusInternalServerError},
				"keyed-delete":         {method: http.MethodDelete, keyed: true, want: http.StatusOK},
				"post":                 {method: http.MethodPost, size: 100, want: http.StatusInternalServerError},
				"delete":               {method: http.MethodDelete, want: http.StatusInternalServerError},
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					path := "/lost/" + name
					sent := bytes.Repeat([]byte("x"), test.size)
					status, _, body := send(t, once, proxy, test.method, path, sent, test.keyed)
					if status != test.want {
						t.Fatalf("%s: %d, want %d: %s", name, status, test.want, body)
					}
					got := nodes.got(path)
					if test.want == http.StatusOK {
						if len(got) != 2 || got[0] == got[1] {
							t.Errorf("nodes %v got the request, want one and then another", got)
						}
						if test.method != http.MethodHead && !bytes.Equal(body, sent) {
							t.Errorf("the second node got %d bytes of %d", len(body), len(sent))
						}
						return
					}
					if len(got) != 1 {
						t.Errorf("nodes %v got the request, want one", got)
					}
					icebergError(t, body, http.StatusInternalServerError, "CommitStateUnknownException")
				})
			}
		})
	}
}

// TestLossOnAKeptConnection loses a node in a request that is not its
// connection's first, neither from the client nor to the node. What may be
// repeated still is; for the rest HAProxy has no answer and sends it once.
func TestLossOnAKeptConnection(t *testing.T) {
	t.Parallel()
	nodes := startLostNodes(t, reset)
	proxy := haproxy.Start(t, nodes.addresses)
	kept := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	t.Cleanup(kept.CloseIdleConnections)
	for range 6 {
		if status, _, body := send(t, kept, proxy, http.MethodPost, "/well", nil, false); status != http.StatusOK {
			t.Fatalf("%d: %s", status, body)
		}
	}
	if status, _, body := send(t, kept, proxy, http.MethodPost, "/lost/keyed", []byte("x"), true); status != http.StatusOK {
		t.Errorf("keyed: %d: %s", status, body)
	}
	if got := nodes.got("/lost/keyed"); len(got) != 2 || got[0] == got[1] {
		t.Errorf("nodes %v got the keyed request, want one and then another", got)
	}
	// Go's client repeats keyed requests by itself: here it had no reason to. The
	// log is written after the answer.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := cluster.Await(ctx, "HAProxy to log a request that it gave to another node", func(context.Context) error {
		if n := proxy.Redispatched(); n != 1 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	res, err := kept.Do(request(t, proxy, http.MethodPost, "/lost/unkeyed", []byte("x"), false))
	if err == nil {
		res.Body.Close()
		t.Errorf("without a key: %s, want a closed connection", res.Status)
	}
	if got := nodes.got("/lost/unkeyed"); len(got) != 1 {
		t.Errorf("nodes %v got the request without a key, want one", got)
	}
}

// TestNoNodeReachable: nothing was sent, so the client is told to come again,
// before the checks notice and after.
func TestNoNodeReachable(t *testing.T) {
	t.Parallel()
	var nodes [3]string
	for i := range nodes {
		server := httptest.NewServer(http.NotFoundHandler())
		nodes[i] = server.Listener.Addr().String()
		server.Close()
	}
	proxy := haproxy.Start(t, nodes)
	status, header, body := send(t, once, proxy, http.MethodPost, "/", []byte("x"), false)
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("%d with Retry-After %q, want 503 with one", status, header.Get("Retry-After"))
	}
	icebergError(t, body, http.StatusServiceUnavailable, "ServiceUnavailableException")
}

// once uses each connection for one request.
var once = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func request(t *testing.T, p *haproxy.Proxy, method, path string, body []byte, keyed bool) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if keyed {
		req.Header.Set("Idempotency-Key", "0198c8a5-0000-7000-8000-000000000001")
	}
	return req
}

func send(t *testing.T, client *http.Client, p *haproxy.Proxy, method, path string, body []byte, keyed bool) (int, http.Header, []byte) {
	t.Helper()
	res, err := client.Do(request(t, p, method, path, body, keyed))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, raw
}

func icebergError(t *testing.T, body []byte, code int, kind string) {
	t.Helper()
	var answer struct {
		Error struct {
			Message, Type string
			Code          int
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("not an Iceberg error: %v: %s", err, body)
	}
	if e := answer.Error; e.Code != code || e.Type != kind || e.Message == "" {
		t.Errorf("%s, want code %d and type %s", body, code, kind)
	}
}
