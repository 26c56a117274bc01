package rest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// fill puts tables into namespace a as they are stored, many in one change.
func (s *site) fill(tables int) { s.fillNamed("table_", tables) }

func (s *site) fillNamed(prefix string, tables int) {
	s.t.Helper()
	var writes []*command.Write
	for i := range tables {
		writes = append(writes, command.PutValue(state.TableKey("default", []string{"a"}, fmt.Sprintf("%s%06d", prefix, i)), nil))
	}
	for batch := range slices.Chunk(writes, 1000) {
		if _, err := s.Log.Propose(s.t.Context(), &command.Transaction{Writes: batch}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// spoil puts a key behind all tables of namespace a that can't be read.
func (s *site) spoil() {
	s.t.Helper()
	s.put(append(state.TableKey("default", []string{"a"}, "zzz"), "junk"...), nil)
}

func TestLongListings(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.node("n1")
	createNamespace(t, h, "a")
	const n = 3000
	s.fill(n)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	for _, encoding := range []string{"identity", "gzip", "zstd", "gzip, identity;q=0"} {
		w := ask{method: "GET", path: tables, header: encoded(encoding)}.want(t, h, 200)
		if w.Header().Get("Content-Length") != "" || w.Header().Get("Floeberg-Index") == "" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", encoding, w.Header())
		}
		w.Header().Set("Content-Length", fmt.Sprint(w.Body.Len()))
		var list identifiers
		if err := json.Unmarshal(plain(t, w), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Identifiers) != n || list.NextPageToken != "" || list.Identifiers[n-1].Name != fmt.Sprintf("table_%06d", n-1) {
			t.Errorf("%s: %d entries, next %q", encoding, len(list.Identifiers), list.NextPageToken)
		}
	}
	first := decode[identifiers](t, ask{method: "GET", path: tables + "?pageToken=&pageSize=2000"}.want(t, h, 200))
	rest := decode[identifiers](t, ask{method: "GET", path: tables + "?pageSize=2000&pageToken=" + first.NextPageToken}.want(t, h, 200))
	if len(first.Identifiers) != 2000 || len(rest.Identifiers) != n-2000 || rest.NextPageToken != "" {
		t.Errorf("pages of %d and %d, next %q", len(first.Identifiers), len(rest.Identifiers), rest.NextPageToken)
	}
}

// What can't be finished must not look finished, in whatever way it is sent.
func TestListingsThatBreakOff(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.node("n1")
	createNamespace(t, h, "a")
	s.spoil()
	ask{method: "GET", path: tables}.wantError(t, h, 503, "ServiceUnavailableException")
	ask{method: "GET", path: tables, header: encoded("gzip")}.wantError(t, h, 503, "ServiceUnavailableException")
	s.fill(3000)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	overTwo, urlOfTwo := http2(t, h)
	for _, encoding := range []string{"identity", "gzip", "zstd"} {
		for url, c := range map[string]*http.Client{server.URL: server.Client(), urlOfTwo: overTwo} {
			res, err := send(t, c, url, ask{method: "GET", path: tables, header: encoded(encoding)}, nil)
			if err != nil {
				continue // what was sent was not even begun to be read
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err == nil {
				t.Errorf("%s %s: %d with %d bytes looks whole", res.Proto, encoding, res.StatusCode, len(body))
			}
		}
	}
	// Pages that end before it are none the worse for it.
	ask{method: "GET", path: tables + "?pageToken=&pageSize=2999"}.want(t, h, 200)
}

// Rights are looked at again before the first byte, and what was opened for a
// listing that nobody gets is closed: the state would not close otherwise.
func TestRightsThatGoDuringAListing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.giveKey("passing", "reader")
	h := s.node("n1", func(o *nodeOptions) {
		o.Catalog = spy{Catalog: o.Catalog, listed: func() { s.revokeKey("passing") }}
	})
	createNamespace(t, h, "a")
	s.fill(3000)
	ask{method: "GET", path: tables, as: "passing"}.wantError(t, h, 401, "NotAuthorizedException")
	ask{method: "GET", path: tables + "?pageToken=junk"}.want(t, h, 400)
	ask{method: "GET", path: "/v1/default/namespaces/none/tables"}.want(t, h, 404)
}

// watched is a client that looks at the memory from time to time.
type watched struct {
	discard
	bytes, looked int
	most          uint64
	tail          []byte
}

func (w *watched) Write(b []byte) (int, error) {
	if w.bytes += len(b); w.bytes-w.looked > 1<<20 {
		w.looked = w.bytes
		w.most = max(w.most, alive())
	}
	w.tail = bytes.Clone(b[max(0, len(b)-2):])
	return len(b), nil
}

// alive is how much memory is in use.
func alive() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A listing of any length takes about as much memory as a short one. It runs
// while no other test does: they would be measured too. The state itself takes
// some megabytes more or less from moment to moment, so the listing is far larger.
func TestMemoryOfListings(t *testing.T) {
	s := newSite(t)
	h := s.node("n1")
	createNamespace(t, h, "a")
	const n = 100_000
	s.fillNamed(strings.Repeat("t", 200), n)
	ask{method: "GET", path: tables + "?pageToken="}.want(t, h, 200) // what is needed once
	before := alive()
	w := &watched{discard: discard{header: http.Header{}}}
	h.ServeHTTP(w, ask{method: "GET", path: tables}.request())
	if w.bytes < n*200 || string(w.tail) != "]}" {
		t.Fatalf("%d bytes that end with %q", w.bytes, w.tail)
	}
	more := int64(w.most) - int64(before)
	t.Logf("%d tables, %d KiB: %d KiB more in use", n, w.bytes>>10, more>>10)
	if more > int64(w.bytes)/4 {
		t.Errorf("a listing of %d KiB takes %d KiB", w.bytes>>10, more>>10)
	}
}
