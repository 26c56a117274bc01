package storeproxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/storeproxy"
)

// store remembers what it was asked.
type store struct {
	mu    sync.Mutex
	asked []string
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.Method+" "+r.Host+r.RequestURI+" "+string(body))
	w.Header().Set("Etag", "e")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, "answer")
}

func (s *store) heard(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.asked, func(a string) bool { return strings.HasPrefix(a, what) })
}

func TestProxy(t *testing.T) {
	t.Parallel()
	behind := &store{}
	server := httptest.NewServer(behind)
	defer server.Close()
	p := storeproxy.Start(t, server.URL)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(ctx context.Context, method, path string) (int, string, error) {
		r, err := http.NewRequestWithContext(ctx, method, p.Endpoint+path, strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err != nil {
			return 0, "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return response.StatusCode, string(body), err
	}
	expect := func(method, path string, want int) {
		t.Helper()
		if status, _, err := ask(t.Context(), method, path); status != want {
			t.Errorf("%s %s: %d, %v, want %d", method, path, status, err, want)
		}
	}

	// What passes is not changed: it is signed.
	status, body, err := ask(t.Context(), http.MethodPut, "/bucket/a%2Fb%20c+d?x=1&y")
	if status != http.StatusCreated || body != "answer" || err != nil {
		t.Errorf("it passes on %d %q, %v", status, body, err)
	}
	if want := "PUT " + strings.TrimPrefix(p.Endpoint, "http://") + "/bucket/a%2Fb%20c+d?x=1&y body"; !behind.heard(want) {
		t.Errorf("the store heard %q, want %q", behind.asked, want)
	}

	p.Set(storeproxy.Fault{Methods: []string{http.MethodGet}, Path: regexp.MustCompile("metadata"), Every: 2, Status: 503})
	expect(http.MethodGet, "/metadata", 201)
	expect(http.MethodPut, "/metadata", 201)
	expect(http.MethodGet, "/data", 201)
	expect(http.MethodGet, "/metadata", 503)
	if p.Met() != 1 {
		t.Errorf("%d requests have met a fault", p.Met())
	}

	p.Set(storeproxy.Fault{Reset: true})
	if _, _, err := ask(t.Context(), http.MethodGet, "/reset"); err == nil || behind.heard("GET "+strings.TrimPrefix(p.Endpoint, "http://")+"/reset") {
		t.Errorf("a connection that is reset: %v", err)
	}

	p.Set(storeproxy.Fault{Lands: time.Millisecond})
	impatient, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	ended := make(chan error, 1)
	go func() {
		_, _, err := ask(impatient, http.MethodPut, "/late")
		ended <- err
	}()
	landed := "PUT " + strings.TrimPrefix(p.Endpoint, "http://") + "/late body"
	for deadline := time.Now().Add(20 * time.Second); !behind.heard(landed); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not land: %q", behind.asked)
		}
	}
	p.Settle()
	giveUp()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a request that is never answered: %v", err)
	}

	p.Set()
	p.Down()
	if _, _, err := ask(t.Context(), http.MethodGet, "/"); err == nil {
		t.Error("it answers while it is down")
	}
	p.Up(t)
	expect(http.MethodGet, "/", 201)
}
