package cluster

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/floeberg/floeberg/test/client"
)

// Rotation is an address that gives every request to another node than the one
// before, for clients that know one address only. Where a connection to a node
// is refused or breaks, the next is asked under the same Idempotency-Key.
type Rotation struct {
	// URL is what clients are configured with.
	URL string

	client *client.Client
	next   atomic.Uint64
	mu     sync.Mutex
	served map[string]int
}

// Rotate opens such an address for the time of the test.
func (c *Cluster) Rotate(t testing.TB) *Rotation {
	t.Helper()
	r := &Rotation{client: c.Client(), served: map[string]int{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// Served counts the answers that each node, by URL, has given.
func (r *Rotation) Served() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := make(map[string]int, len(r.served))
	for url, n := range r.served {
		counts[url] = n
	}
	return counts
}

// AllServed fails the test unless every node of the cluster has answered.
func (c *Cluster) AllServed(t testing.TB, r *Rotation) {
	t.Helper()
	served := r.Served()
	t.Logf("requests by node: %v", served)
	if len(served) != len(c.Nodes) {
		t.Errorf("only some nodes were asked: %v", served)
	}
}

// hopByHop are headers of one connection, not of the request.
var hopByHop = []string{"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length"}

// ServeHTTP hands the request, byte by byte as it came, to the next node.
func (r *Rotation) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	header := req.Header.Clone()
	for _, name := range hopByHop {
		header.Del(name)
	}
	res, err := r.client.DoAt(req.Context(), int(r.next.Add(1)), client.Request{
		Method: req.Method,
		Path:   rawPath(req.RequestURI),
		Body:   body,
		Header: header,
		Key:    req.Header.Get("Idempotency-Key"),
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	r.mu.Lock()
	r.served[res.URL]++
	r.mu.Unlock()
	for name, values := range res.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(res.Status)
	// A client that went away misses its answer; there is nobody to tell.
	_, _ = w.Write(res.Body)
}

// rawPath is the path and query as they were sent, without a scheme and host.
func rawPath(uri string) string {
	if i := strings.Index(uri, "://"); i >= 0 {
		if j := strings.IndexByte(uri[i+3:], '/'); j >= 0 {
			return uri[i+3+j:]
		}
		return "/"
	}
	return uri
}
