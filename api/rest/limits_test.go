package rest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/internal/catalog"
)

// answerOf reads an answer off a connection and insists on an error body.
func answerOf(t *testing.T, conn net.Conn) (status int, errorType string) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, errorOf(t, w).Error.Type
}

func listen(t *testing.T, h http.Handler) (address string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func dial(t *testing.T, address, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

func head(path string, more ...string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + keyOf("admin") + "\r\n" + strings.Join(more, "\r\n") + "\r\n\r\n"
}

func TestBodiesThatDoNotCome(t *testing.T) {
	t.Parallel()
	address := listen(t, newSite(t).node("n1", func(o *nodeOptions) { o.BodyTimeout = 2 * time.Second }))
	const path = "/v1/default/namespaces"

	slow := dial(t, address, head(path, "Content-Length: 100")+`{"name`)
	if status, errorType := answerOf(t, slow); status != 408 || errorType != "RequestTimeoutException" {
		t.Errorf("slow: %d %s", status, errorType)
	}
	cut := dial(t, address, head(path, "Content-Length: 100")+`{"name`)
	if err := cut.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if status, errorType := answerOf(t, cut); status != 400 || errorType != "BadRequestException" {
		t.Errorf("cut: %d %s", status, errorType)
	}
	chunk := dial(t, address, head(path, "Transfer-Encoding: chunked")+"zz\r\n")
	if status, errorType := answerOf(t, chunk); status != 400 || errorType != "BadRequestException" {
		t.Errorf("bad chunk: %d %s", status, errorType)
	}
	none := dial(t, address, head(path, "Content-Length: 0"))
	if status, _ := answerOf(t, none); status != 400 {
		t.Errorf("none: %d", status)
	}
}

// A body's deadline must not cut the request that follows on its connection, nor
// its own handler.
func TestSlowHandlerAfterBody(t *testing.T) {
	t.Parallel()
	var failed error
	h := newSite(t).node("n1", func(o *nodeOptions) {
		o.BodyTimeout = time.Second
		o.Catalog = spy{Catalog: o.Catalog, commit: func(ctx context.Context, _ catalog.Change, _ catalog.CommitTable) (*catalog.Table, error) {
			select {
			case <-ctx.Done():
				failed = ctx.Err()
			case <-time.After(1500 * time.Millisecond): // the body's deadline and half of it
			}
			return &catalog.Table{Metadata: []byte("{}")}, nil
		}}
	})
	server := httptest.NewServer(h)
	defer server.Close()
	for range 2 {
		r := ask{method: "POST", path: table, body: `{}`}.request()
		r.RequestURI = ""
		r.URL.Scheme, r.URL.Host = "http", server.Listener.Addr().String()
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 || failed != nil {
			t.Errorf("%d, %v", resp.StatusCode, failed)
		}
	}
}

func TestLargeBodies(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.node("n1")
	createNamespace(t, h, "a")
	ask{method: "POST", path: tables, body: createTableBody("t")}.want(t, h, 200)

	// 32 MB of a commit pass; that there is too much in it is the catalog's say.
	var body strings.Builder
	body.WriteString(`{"requirements":[],"updates":[`)
	update := `{"action":"set-properties","updates":{"k":"` + strings.Repeat("v", 1000) + `"}},`
	for body.Len() < 32_000_000 {
		body.WriteString(update)
	}
	body.WriteString(strings.TrimSuffix(update, ",") + `]}`)
	ask{method: "POST", path: table, body: body.String()}.want(t, h, 200)

	small := s.node("n2", func(o *nodeOptions) { o.MaxBodyBytes = 1000 })
	fits := `{"namespace":["b"]` + strings.Repeat(" ", 1000-19) + `}`
	ask{method: "POST", path: "/v1/default/namespaces", body: fits}.want(t, small, 200)
	ask{method: "POST", path: "/v1/default/namespaces", body: fits + " "}.wantError(t, small, 413, "ContentTooLargeException")

	// Over the wire, announced or not, the client gets to read the answer.
	address := listen(t, small)
	conn := dial(t, address, head("/v1/default/namespaces", "Content-Length: 4000")+strings.Repeat(" ", 4000))
	if status, _ := answerOf(t, conn); status != 413 {
		t.Errorf("announced: %d", status)
	}
	conn = dial(t, address, head("/v1/default/namespaces", "Transfer-Encoding: chunked")+fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", 2000, strings.Repeat(" ", 2000)))
	if status, _ := answerOf(t, conn); status != 413 {
		t.Errorf("chunked: %d", status)
	}
	conn = dial(t, address, head("/v1/default/namespaces", "Content-Length: 99999999999"))
	if status, _ := answerOf(t, conn); status != 413 {
		t.Errorf("endless: %d", status)
	}
}

func TestMemoryOfBodiesIsBounded(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1", func(o *nodeOptions) {
		o.MaxBodyBytes, o.MaxBodyBytesInFlight = 1000, 1
	})
	createNamespace(t, h, "a")
	address := listen(t, h)
	await := func(status int) *httptest.ResponseRecorder {
		t.Helper()
		body := `{"namespace":["b"]` + strings.Repeat(" ", 900) + `}`
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			w := ask{method: "POST", path: "/v1/default/namespaces/a/tables/t", body: body}.of(h)
			if w.Code == status {
				return w
			}
			if time.Now().After(deadline) {
				t.Fatalf("still %d and not %d: %s", w.Code, status, w.Body)
			}
		}
	}
	await(404)
	// 18 KB at most are held, and each of these takes 1 KB while it is on its way.
	var waiting []net.Conn
	for range 25 {
		waiting = append(waiting, dial(t, address, head("/v1/default/namespaces", "Content-Length: 900")+"{"))
	}
	w := await(503)
	if w.Header().Get("Retry-After") != "1" || errorOf(t, w).Error.Type != "SlowDownException" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	for _, conn := range waiting {
		_ = conn.Close()
	}
	// What they held comes back.
	await(404)
}

func TestRequestsUnderWayAreBounded(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	h := newSite(t).node("n1", func(o *nodeOptions) {
		o.MaxRequests = 2
		o.Catalog = spy{Catalog: o.Catalog, load: func(context.Context) (*catalog.Table, error) {
			entered <- struct{}{}
			<-leave
			return nil, nil
		}}
	})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { ask{method: "GET", path: table}.of(h) })
		<-entered
	}
	w := ask{method: "GET", path: "/v1/config"}.want(t, h, 503)
	if w.Header().Get("Retry-After") != "1" || errorOf(t, w).Error.Type != "SlowDownException" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	// Changes have places of their own.
	createNamespace(t, h, "while reads wait")
	// Whoever asks whether the process lives must not be told to come later.
	ask{method: "GET", path: "/health"}.want(t, h, 200)
	close(leave)
	wg.Wait()
	ask{method: "GET", path: "/v1/config"}.want(t, h, 200)
}

// Changes wait for the object store. Where it is dead they fill their places, and
// reads, which do not need it, must be answered all the same.
func TestStuckChangesLeaveRoomForReads(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	h := newSite(t).node("n1", func(o *nodeOptions) {
		o.MaxRequests = 2
		o.Catalog = spy{Catalog: o.Catalog, drop: func(context.Context, catalog.Change) error {
			entered <- struct{}{}
			<-leave
			return nil
		}}
	})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { ask{method: "DELETE", path: "/v1/default/namespaces/a"}.of(h) })
		<-entered
	}
	ask{method: "POST", path: "/v1/default/namespaces", body: `{"namespace":["b"]}`}.wantError(t, h, 503, "SlowDownException")
	ask{method: "GET", path: "/v1/config"}.want(t, h, 200)
	close(leave)
	wg.Wait()
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1", func(o *nodeOptions) {
		o.RequestTimeout = time.Second // in which the catalog is asked
		o.Catalog = spy{Catalog: o.Catalog,
			load: func(ctx context.Context) (*catalog.Table, error) { <-ctx.Done(); return nil, ctx.Err() },
			commit: func(ctx context.Context, _ catalog.Change, _ catalog.CommitTable) (*catalog.Table, error) {
				<-ctx.Done()
				return nil, &catalog.Error{Kind: catalog.KindCommitUnknown, Message: "unknown", Cause: ctx.Err()}
			},
		}
	})
	w := ask{method: "GET", path: table}.want(t, h, 503)
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After where nothing was begun")
	}
	w = ask{method: "POST", path: table, body: `{}`}.want(t, h, 500)
	if w.Header().Get("Retry-After") != "" || errorOf(t, w).Error.Type != "CommitStateUnknownException" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	panics := 0
	var done []middleware.Done
	h := newSite(t).node("n1", func(o *nodeOptions) {
		o.Logger = slog.New(slog.NewJSONHandler(&log, nil))
		o.Events.Panicked = func() { panics++ }
		o.Events.RequestDone = func(d middleware.Done) { done = append(done, d) }
		o.Catalog = spy{Catalog: o.Catalog, load: func(context.Context) (*catalog.Table, error) { panic("out of order") }}
	})
	w := ask{method: "GET", path: table, header: http.Header{"X-Request-Id": {"r-1"}}}.want(t, h, 500)
	body := errorOf(t, w)
	if body.Error.Type != "InternalServerError" || !strings.Contains(body.Error.Message, "r-1") || strings.Contains(body.Error.Message, "out of order") {
		t.Errorf("%s", w.Body)
	}
	var line struct {
		Level, Msg, Panic, Stack string
		RequestID                string `json:"request_id"`
	}
	if err := json.NewDecoder(&log).Decode(&line); err != nil {
		t.Fatal(err)
	}
	if line.Level != "ERROR" || line.RequestID != "r-1" || line.Panic != "out of order" || !strings.Contains(line.Stack, "limits_test.go") {
		t.Errorf("%+v", line)
	}
	if panics != 1 || len(done) != 1 || done[0].Status != 500 || done[0].Route != "/v1/{prefix}/namespaces/{namespace}/tables/{table}" || done[0].ErrorType != "InternalServerError" {
		t.Errorf("%d panics, %+v", panics, done)
	}
	ask{method: "GET", path: "/v1/config"}.want(t, h, 200)
}

// What a client sent is quoted to it, and in the log, and where an answer is
// remembered for a key: of whatever length it is.
func TestQuotedTextIsBounded(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newSite(t)
	h := s.node("n1", func(o *nodeOptions) { o.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
	createNamespace(t, h, "a")
	long := strings.Repeat("x", 1<<20)
	properties := ask{method: "POST", path: "/v1/default/namespaces/a/properties", body: `{"removals":["` + long + `"],"updates":{"` + long + `":"v"}}`}
	drop := ask{method: "DELETE", path: "/v1/default/namespaces/" + strings.Repeat(strings.Repeat("y", 500)+"%1F", 30) + "z"}
	for _, a := range []struct {
		ask
		status int
	}{{properties, 422}, {drop, 404}} {
		a.header = http.Header{"Idempotency-Key": {uuid.NewString()}}
		first := a.want(t, h, a.status).Body.String()
		if len(first) > 3000 {
			t.Errorf("%s %.60s: an answer of %d bytes", a.method, a.path, len(first))
		}
		if again := a.want(t, h, a.status).Body.String(); again != first {
			t.Errorf("the repeat reads %.200q, the first %.200q", again, first)
		}
	}
	for _, line := range strings.Split(log.String(), "\n") {
		if len(line) > 32<<10 { // a path is in it
			t.Errorf("a line of %d bytes: %.200s", len(line), line)
		}
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var done []middleware.Done
	h := newSite(t).node("n1", func(o *nodeOptions) {
		o.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Events.RequestDone = func(d middleware.Done) { done = append(done, d) }
	})
	createNamespace(t, h, "a")
	ask{method: "GET", path: "/v1/default/namespaces/b"}.want(t, h, 404)
	ask{method: "BREW", path: "/no/where"}.want(t, h, 404)
	type line struct {
		Level, Method, Route, Path, Principal, Error string
		Status                                       int
		RequestID                                    string `json:"request_id"`
	}
	var lines []line
	for dec := json.NewDecoder(&log); dec.More(); {
		var l line
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
		if l.RequestID == "" {
			t.Errorf("no request id: %+v", l)
		}
		l.RequestID = ""
		lines = append(lines, l)
	}
	want := []line{
		{Level: "INFO", Method: "POST", Route: "/v1/{prefix}/namespaces", Path: "/v1/default/namespaces", Principal: "id-admin", Status: 200},
		{Level: "DEBUG", Method: "GET", Route: "/v1/{prefix}/namespaces/{namespace}", Path: "/v1/default/namespaces/b", Principal: "id-admin", Status: 404, Error: "Namespace does not exist: b"},
		{Level: "INFO", Method: "OTHER", Route: "none", Path: "/no/where", Status: 404, Error: "no such path"},
	}
	if len(lines) != 3 || lines[0] != want[0] || lines[1] != want[1] || lines[2] != want[2] {
		t.Errorf("got %+v\nwant %+v", lines, want)
	}
	if len(done) != 3 || done[2].Method != "OTHER" || done[2].Route != "none" {
		t.Errorf("%+v", done)
	}
}
