package rest_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// ratesOf makes limits that have a whole burst and, for as long as a test takes,
// nothing after it.
func ratesOf(t *testing.T, opts middleware.RateOptions) *middleware.Rates {
	t.Helper()
	begun := time.Now()
	opts.Now = func() time.Time { return begun }
	rates, err := middleware.NewRates(opts)
	if err != nil {
		t.Fatal(err)
	}
	return rates
}

// limitedBy makes a node with limits.
func limitedBy(t *testing.T, opts middleware.RateOptions) func(*nodeOptions) {
	return func(o *nodeOptions) { o.Rates = ratesOf(t, opts) }
}

func TestEveryAnswerIsForNoBrowser(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1", func(o *nodeOptions) {
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x 1\n") })
		o.Catalog = spy{Catalog: o.Catalog, load: func(context.Context) (*catalog.Table, error) { panic("out of order") }}
	})
	for what, a := range map[string]ask{
		"a reply":     {method: "GET", path: "/v1/config"},
		"no body":     {method: "HEAD", path: "/v1/default/namespaces/a"},
		"nobody":      {method: "GET", path: "/v1/config", as: "-"},
		"no right":    {method: "POST", path: "/v1/default/namespaces", as: "reader", body: `{"namespace":["a"]}`},
		"nowhere":     {method: "GET", path: "/index.html"},
		"no method":   {method: "PUT", path: "/v1/config"},
		"nonsense":    {method: "POST", path: "/v1/default/namespaces", body: `<script>`},
		"a defect":    {method: "GET", path: table},
		"health":      {method: "GET", path: "/health", as: "-"},
		"ready":       {method: "GET", path: "/ready", as: "-"},
		"metrics":     {method: "GET", path: "/metrics", as: "-"},
		"OAuth":       {method: "POST", path: "/v1/oauth/tokens", as: "-"},
		"a preflight": {method: "OPTIONS", path: "/v1/config", header: http.Header{"Origin": {"https://x.example"}, "Access-Control-Request-Method": {"GET"}}},
	} {
		w := a.of(h)
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
			"Strict-Transport-Security": "", "Server": "", "X-Powered-By": "", "Access-Control-Allow-Origin": "",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s (%d): %s is %q, want %q", what, w.Code, name, got, want)
			}
		}
	}
}

func TestMoreHeadersThanAnyClientSends(t *testing.T) {
	t.Parallel()
	address := listen(t, newSite(t).node("n1", func(o *nodeOptions) { o.MaxHeaders = 10 }))
	many := func(n int) []string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("X-%d: x", i))
		}
		return out
	}
	conn := dial(t, address, head("/v1/default/namespaces", append(many(20), "Content-Length: 0")...))
	if status, errorType := answerOf(t, conn); status != 431 || errorType != "BadRequestException" {
		t.Errorf("%d %s", status, errorType)
	}
	// One name many times is as many.
	conn = dial(t, address, head("/v1/default/namespaces", append(strings.Split(strings.Repeat("A: b\n", 20), "\n")[:20], "Content-Length: 0")...))
	if status, _ := answerOf(t, conn); status != 431 {
		t.Errorf("of one name: %d", status)
	}
	conn = dial(t, address, head("/v1/default/namespaces", append(many(5), "Content-Length: 0")...))
	if status, _ := answerOf(t, conn); status != 400 {
		t.Errorf("a few: %d", status)
	}
}

// A body that stops is not waited for as long as one that goes on.
func TestBodiesThatStop(t *testing.T) {
	t.Parallel()
	address := listen(t, newSite(t).node("n1", func(o *nodeOptions) {
		o.BodyTimeout, o.BodyStall = time.Hour, 2*time.Second
	}))
	const body = `{"namespace":["in drops"]}`
	drops := dial(t, address, head("/v1/default/namespaces", fmt.Sprintf("Content-Length: %d", len(body))))
	for _, b := range []byte(body) {
		time.Sleep(100 * time.Millisecond) // all of it takes longer than it may stop
		if _, err := drops.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.ReadResponse(newReader(t, drops), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("a body in drops: %v, %v", resp, err)
	}
	_ = resp.Body.Close()
	stops := dial(t, address, head("/v1/default/namespaces", "Content-Length: 100")+`{"name`)
	if status, errorType := answerOf(t, stops); status != 408 || errorType != "RequestTimeoutException" {
		t.Errorf("a body that stops: %d %s", status, errorType)
	}
}

// One who asks for much and takes none of it is let go of.
func TestAnswersThatAreNotTaken(t *testing.T) {
	t.Parallel()
	for name, adjust := range map[string]func(*nodeOptions){
		"nothing is taken":   func(o *nodeOptions) { o.WriteStall = 100 * time.Millisecond },
		"all takes too long": func(o *nodeOptions) { o.WriteTimeout = 100 * time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			large := append([]byte(`{"x":"`), bytes.Repeat([]byte("x"), 64<<20)...) // more than sockets hold
			large = append(large, `"}`...)
			ended := make(chan struct{})
			h := newSite(t).node("n1", adjust, func(o *nodeOptions) {
				o.Catalog = spy{Catalog: o.Catalog, load: func(context.Context) (*catalog.Table, error) {
					return &catalog.Table{Metadata: large}, nil
				}}
			})
			address := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(ended)
				h.ServeHTTP(w, r)
			}))
			dial(t, address, "GET "+table+" HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+keyOf("admin")+"\r\n\r\n")
			select {
			case <-ended:
			case <-time.After(30 * time.Second):
				t.Error("it is still being written to who does not read")
			}
		})
	}
}

func TestTooManyRequestsOfAPrincipal(t *testing.T) {
	t.Parallel()
	var limited atomic.Int32
	opts := middleware.RateOptions{PerPrincipal: 1, Limited: func(string) { limited.Add(1) }}
	s := newSite(t)
	server := httptest.NewServer(s.node("n1", limitedBy(t, opts)))
	defer server.Close()
	send := func(as, method, path, body string) *http.Response {
		t.Helper()
		r := ask{method: method, path: path, as: as, body: body}.request()
		r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", server.Listener.Addr().String()
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp
	}
	// Ten at once, one for each request, whatever becomes of it.
	for i := range 10 {
		method, path := "GET", "/v1/default/namespaces?pageSize=x"
		if i%2 == 0 {
			method, path = "POST", "/v1/default/namespaces"
		}
		resp := send("reader", method, path, "")
		if resp.StatusCode != 400 && resp.StatusCode != 403 {
			t.Fatalf("request %d: %s", i, resp.Status)
		}
		if got, want := resp.Header.Get("RateLimit"), fmt.Sprintf(`"principal";r=%d;t=%d`, 9-i, i+1); got != want {
			t.Errorf("request %d: %q, want %q", i, got, want)
		}
	}
	resp := send("reader", "GET", "/v1/config", "")
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "1" || limited.Load() != 1 {
		t.Errorf("%s %v, %d", resp.Status, resp.Header, limited.Load())
	}
	if resp := send("writer", "GET", "/v1/config", ""); resp.StatusCode != 200 {
		t.Errorf("another one: %s", resp.Status)
	}
	if resp := send("-", "GET", "/v1/config", ""); resp.StatusCode != 401 || resp.Header.Get("RateLimit") != "" {
		t.Errorf("nobody: %s %v", resp.Status, resp.Header)
	}
	ask{method: "POST", path: "/v1/default/namespaces", as: "reader", body: "{}"}.wantError(t, server.Config.Handler, 429, "TooManyRequestsException")
}

func TestTooManyRequestsFromAnAddress(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1", limitedBy(t, middleware.RateOptions{PerAddress: 1}), func(o *nodeOptions) {
		o.Proxies = middleware.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	})
	address := listen(t, h)
	get := func(path, from string) int {
		t.Helper()
		conn := dial(t, address, "GET "+path+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Forwarded-For: 6.6.6.6, "+from+"\r\n\r\n")
		resp, err := http.ReadResponse(newReader(t, conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if late := resp.Header.Get("Retry-After"); (resp.StatusCode == 429) != (late == "1") {
			t.Errorf("%s with Retry-After %q", resp.Status, late)
		}
		return resp.StatusCode
	}
	for i := range 10 {
		if got := get(fmt.Sprintf("/nowhere/%d", i), fmt.Sprintf("2001:db8::%x", i+1)); got != 404 {
			t.Fatalf("request %d: %d", i, got)
		}
	}
	if got := get("/v1/config", "[2001:db8::99]:80"); got != 429 {
		t.Errorf("one too many: %d", got)
	}
	// Whoever asks whether the node lives is told.
	for _, path := range []string{"/health", "/ready"} {
		if got := get(path, "2001:db8::99"); got != 200 {
			t.Errorf("%s: %d", path, got)
		}
	}
	if got := get("/v1/config", "2001:db9::1"); got != 401 {
		t.Errorf("another address behind the proxy: %d", got)
	}
}

// Wrong keys slow down where they come from, and nobody who has a right one.
func TestFailedAuthenticationSlowsAnAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var asked atomic.Int32
	h := s.node("n1", limitedBy(t, middleware.RateOptions{Failures: 1}), func(o *nodeOptions) {
		keys, err := authn.NewKeys(authn.Options{
			Local:   func(context.Context) (*state.View, error) { return s.Log.State() },
			Proven:  func(context.Context) (*state.View, error) { return s.Log.State() },
			Current: func(context.Context) (*state.View, error) { asked.Add(1); return s.Log.State() },
			NowMs:   s.Log.NowMs,
		})
		if err != nil {
			t.Fatal(err)
		}
		o.Authenticator = keys
		o.Proxies = middleware.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}} // who httptest comes from
	})
	from := func(address, key string) ask {
		return ask{method: "GET", path: "/v1/config", as: "-", header: http.Header{
			"X-Forwarded-For": {address}, "Authorization": {"Bearer " + key},
		}}
	}
	first := from("8.8.8.8", "fb_guess_0123456789").wantError(t, h, 401, "NotAuthorizedException")
	for i := range 9 {
		if body := from("8.8.8.8", "fb_guess_"+strconv.Itoa(i)).wantError(t, h, 401, "NotAuthorizedException"); body != first {
			t.Errorf("%+v, the first was %+v", body, first)
		}
	}
	if asked.Load() != 10 {
		t.Fatalf("the leader was asked %d times", asked.Load())
	}
	for range 5 {
		w := from("8.8.8.8", "fb_guess_0123456789").want(t, h, 429)
		if w.Header().Get("Retry-After") != "1" || w.Header().Get("WWW-Authenticate") != "" {
			t.Errorf("%v", w.Header())
		}
	}
	if asked.Load() != 10 {
		t.Errorf("the leader was asked for what is not worth it: %d times", asked.Load())
	}
	// Others behind the same proxy, and those with a good key at the same address.
	from("8.8.8.8", keyOf("reader")).want(t, h, 200)
	from("8.8.4.4", "fb_guess_0123456789").want(t, h, 401)
	// Who shows nothing has not tried.
	ask{method: "GET", path: "/v1/config", as: "-", header: http.Header{"X-Forwarded-For": {"8.8.8.8"}}}.want(t, h, 401)
}

func TestTheClientBehindAProxyIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := newSite(t).node("n1", func(o *nodeOptions) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Proxies = middleware.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}
	})
	ask{method: "GET", path: "/v1/config", header: http.Header{"X-Forwarded-For": {"8.8.8.8"}}}.want(t, h, 200)
	ask{method: "GET", path: "/v1/config"}.want(t, h, 200)
	if text := log.String(); strings.Count(text, "client=8.8.8.8") != 1 || strings.Count(text, "client=") != 1 {
		t.Error(text)
	}
}

// newReader reads answers off a connection, and not for ever.
func newReader(t *testing.T, conn net.Conn) *bufio.Reader {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(conn)
}
