package rest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/internal/catalog"
)

// http2 serves a handler under HTTP/2, and gives a client that keeps to one
// connection.
func http2(t *testing.T, h http.Handler) (*http.Client, string) {
	t.Helper()
	p := &http.Protocols{}
	p.SetUnencryptedHTTP2(true)
	server := httptest.NewUnstartedServer(h)
	server.Config.Protocols = p
	server.Start()
	t.Cleanup(server.Close)
	transport := &http.Transport{Protocols: p, HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, server.URL
}

func send(t *testing.T, c *http.Client, url string, a ask, body io.Reader) (*http.Response, error) {
	t.Helper()
	r := a.request()
	req, err := http.NewRequestWithContext(t.Context(), a.method, url+a.path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = r.Header
	return c.Do(req)
}

// A body that does not come ends its own request, and none of those that share
// its connection.
func TestBodiesThatDoNotComeOverHTTP2(t *testing.T) {
	t.Parallel()
	c, url := http2(t, newSite(t).node("n1", func(o *nodeOptions) { o.BodyTimeout = 2 * time.Second }))
	body, end := io.Pipe()
	defer end.Close()
	type result struct {
		res *http.Response
		err error
	}
	slow := make(chan result, 1)
	go func() {
		res, err := send(t, c, url, ask{method: "POST", path: "/v1/default/namespaces"}, body)
		slow <- result{res, err}
	}()
	if _, err := io.WriteString(end, `{"name`); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		res, err := send(t, c, url, ask{method: "POST", path: "/v1/default/namespaces"}, strings.NewReader(fmt.Sprintf(`{"namespace":["n%d"]}`, i)))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 200 || res.ProtoMajor != 2 {
			t.Errorf("%s %d", res.Proto, res.StatusCode)
		}
	}
	got := <-slow
	if got.err != nil {
		t.Fatal(got.err)
	}
	defer func() { _ = got.res.Body.Close() }()
	if text, err := io.ReadAll(got.res.Body); err != nil || got.res.StatusCode != 408 || !strings.Contains(string(text), "RequestTimeoutException") {
		t.Errorf("%d %s %v", got.res.StatusCode, text, err)
	}
}

// A body's deadline does not cut its own handler, as it does not under HTTP/1.
func TestSlowHandlerAfterBodyOverHTTP2(t *testing.T) {
	t.Parallel()
	c, url := http2(t, newSite(t).node("n1", func(o *nodeOptions) {
		o.BodyTimeout = time.Second
		o.Catalog = spy{Catalog: o.Catalog, commit: func(ctx context.Context, _ catalog.Change, _ catalog.CommitTable) (*catalog.Table, error) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(1500 * time.Millisecond): // the body's deadline and half of it
			}
			return &catalog.Table{Metadata: []byte("{}")}, nil
		}}
	}))
	for range 2 {
		res, err := send(t, c, url, ask{method: "POST", path: table}, strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 200 {
			t.Errorf("%d", res.StatusCode)
		}
	}
}

// A client that does not take its answer loses it, and keeps its connection.
func TestAnswersThatAreNotTakenOverHTTP2(t *testing.T) {
	t.Parallel()
	document := []byte(`{"x":"` + strings.Repeat("x", 1<<20) + `"}`)
	var answered atomic.Int64
	c, url := http2(t, newSite(t).node("n1", func(o *nodeOptions) {
		o.WriteTimeout = 2 * time.Second
		o.Events.RequestDone = func(middleware.Done) { answered.Add(1) }
		o.Catalog = spy{Catalog: o.Catalog, load: func(context.Context) (*catalog.Table, error) {
			return &catalog.Table{Metadata: document}, nil
		}}
	}))
	plainly := http.Header{"Accept-Encoding": {"identity"}}
	left, err := send(t, c, url, ask{method: "GET", path: table, header: plainly}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = left.Body.Close() }()
	// As long as the answer that is left waits, and once more, others are taken.
	deadline := time.Now().Add(30 * time.Second)
	for others := int64(0); answered.Load() <= others; others++ {
		if time.Now().After(deadline) {
			t.Fatal("an answer that is not taken still waits")
		}
		res, err := send(t, c, url, ask{method: "GET", path: table, header: plainly}, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil || !bytes.Contains(body, document) {
			t.Fatalf("%d bytes, %v", len(body), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if body, err := io.ReadAll(left.Body); err == nil || bytes.Contains(body, document) {
		t.Errorf("after its time was over: %d bytes, %v", len(body), err)
	}
}
