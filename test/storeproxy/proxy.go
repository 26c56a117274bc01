// Package storeproxy stands between nodes and an object store and makes the store
// bad: dead, slow, failing, or carrying out what it never answers.
package storeproxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/port"
)

// Fault is what becomes of some requests.
type Fault struct {
	// Methods are those it is about; none are all.
	Methods []string
	// Path is what the paths it is about look like; nil are all.
	Path *regexp.Regexp
	// Every is that it meets each n-th of these requests; 0 is each of them.
	Every int

	// What happens is the first of these that is set.

	// Reset breaks the connection, and the store hears nothing.
	Reset bool
	// Status is answered with, and the store hears nothing.
	Status int
	// Lands hands the request to the store after a time, and never answers: who
	// asked gives up, and what it asked for is done all the same.
	Lands time.Duration
	// Delay hands the request to the store after a time.
	Delay time.Duration
}

// about tells whether a fault is for a request.
func (f Fault) about(r *http.Request) bool {
	return (len(f.Methods) == 0 || slices.Contains(f.Methods, r.Method)) && (f.Path == nil || f.Path.MatchString(r.URL.Path))
}

// Proxy is a proxy in front of one store. Requests pass it unchanged, so that
// their signatures hold.
type Proxy struct {
	// Endpoint is where it is asked: http://127.0.0.1:port. It stays when the proxy
	// is down.
	Endpoint string

	target    *url.URL
	transport *http.Transport
	address   string

	mu     sync.Mutex
	server *httptest.Server // nil while it is down
	faults []Fault
	seen   []int // by fault, the requests that it was about
	met    int
	late   sync.WaitGroup
	over   context.Context // of the whole proxy
}

// Start runs a proxy in front of the store at an endpoint until the test ends.
func Start(t testing.TB, endpoint string) *Proxy {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	over, end := context.WithCancel(context.Background())
	p := &Proxy{target: target, transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}, address: port.Address(t), over: over}
	p.Endpoint = "http://" + p.address
	p.Up(t)
	t.Cleanup(func() {
		end()
		p.Down()
		p.late.Wait()
		p.transport.CloseIdleConnections()
	})
	return p
}

// Set replaces the faults; none is good weather.
func (p *Proxy) Set(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults, p.seen = faults, make([]int, len(faults))
}

// Met is how many requests have met a fault.
func (p *Proxy) Met() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.met
}

// Settle waits until everything that was to land late has landed.
func (p *Proxy) Settle() { p.late.Wait() }

// Down refuses connections and breaks those there are.
func (p *Proxy) Down() {
	p.mu.Lock()
	server := p.server
	p.server = nil
	p.mu.Unlock()
	if server == nil {
		return
	}
	server.CloseClientConnections()
	server.Close()
}

// Up accepts connections again.
func (p *Proxy) Up(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}}
	server.Start()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = server
}

// fault picks what becomes of a request.
func (p *Proxy) fault(r *http.Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, f := range p.faults {
		if !f.about(r) {
			continue
		}
		p.seen[i]++
		if f.Every == 0 || p.seen[i]%f.Every == 0 {
			p.met++
			return f
		}
	}
	return Fault{}
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// All of it: a request that lands late outlives its connection, and that its
	// client has gone is only noticed after the body.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // Its client has gone in the middle of it.
	}
	f := p.fault(r)
	switch {
	case f.Reset:
		reset(w)
	case f.Status != 0:
		w.WriteHeader(f.Status)
	case f.Lands != 0:
		p.late.Go(func() { p.land(r, body, f.Lands) })
		<-r.Context().Done()
	default:
		if !wait(r.Context(), f.Delay) {
			return
		}
		p.pass(w, r, body)
	}
}

// land carries a request out whose client hears nothing of it.
func (p *Proxy) land(r *http.Request, body []byte, after time.Duration) {
	if !wait(p.over, after) {
		return
	}
	response, err := p.forward(p.over, r, body)
	if err != nil {
		return // As a store that breaks down: nobody is there to be told.
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
}

// pass carries a request out and hands on the answer.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, body []byte) {
	response, err := p.forward(r.Context(), r, body)
	if err != nil {
		reset(w)
		return
	}
	defer response.Body.Close()
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(response.StatusCode)
	if _, err := io.Copy(w, response.Body); err != nil {
		// What was promised can't be given any more.
		panic(http.ErrAbortHandler)
	}
}

// forward sends a request as it came, its host included.
func (p *Proxy) forward(ctx context.Context, r *http.Request, body []byte) (*http.Response, error) {
	out := r.Clone(ctx)
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = p.target.Scheme, p.target.Host
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	out.Header.Del("Connection")
	return p.transport.RoundTrip(out)
}

// reset breaks a connection as a crashing machine does.
func reset(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return // It is broken already.
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// wait rests, and tells whether the context still lasts.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
