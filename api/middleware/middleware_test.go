package middleware_test

import (
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/test/output"
)

func engine(use ...gin.HandlerFunc) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.Use(use...)
	return e
}

func TestRequestIDsThatAreTaken(t *testing.T) {
	t.Parallel()
	e := engine(middleware.NameRequests(nil))
	e.GET("/", func(c *gin.Context) { c.String(200, middleware.RequestID(c.Request.Context())) })
	for id, taken := range map[string]bool{
		"a":                                    true,
		"0198f2e4-9f8e-7c3a-8e7b-5a3d2c1b0a99": true,
		"Root=1-67891233-abcdef012345678912345678": true,
		"a/b+c=@d:e_f.g":         true,
		strings.Repeat("x", 128): true,
		strings.Repeat("x", 129): false,
		"":                       false,
		"with space":             false,
		"new\nline":              false,
		`quo"te`:                 false,
		"ümlaut":                 false,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["X-Request-Id"] = []string{id}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		got := w.Header().Get("X-Request-Id")
		if got != w.Body.String() || (got == id) != taken || len(got) == 0 {
			t.Errorf("%q became %q, in the context %q", id, got, w.Body)
		}
	}
	if id := middleware.RequestID(t.Context()); id != "" {
		t.Errorf("a context of no request has %q", id)
	}
}

// What was begun and can't be finished must not look finished.
func TestPanicInTheMiddleOfAnAnswer(t *testing.T) {
	t.Parallel()
	var log output.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	e := engine(
		middleware.AnswerErrors(func(c *gin.Context, _ error) { c.String(500, "failed") }),
		middleware.Recover(logger, middleware.Events{}),
	)
	e.GET("/begun", func(c *gin.Context) {
		c.Writer.Header().Set("Content-Length", "100")
		c.String(200, "half")
		c.Writer.Flush()
		panic("out of order")
	})
	e.GET("/given-up", func(*gin.Context) { panic(http.ErrAbortHandler) })
	e.GET("/fresh", func(*gin.Context) { panic(errors.New("out of order")) })
	server := httptest.NewUnstartedServer(e)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.Start()
	defer server.Close()
	for path, whole := range map[string]bool{"/begun": false, "/given-up": false, "/fresh": true} {
		resp, err := server.Client().Get(server.URL + path)
		var body []byte
		if err == nil {
			body, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		if (err == nil) != whole {
			t.Errorf("%s: %q, %v", path, body, err)
		}
		if whole && (resp.StatusCode != 500 || string(body) != "failed") {
			t.Errorf("%s: %d %q", path, resp.StatusCode, body)
		}
	}
	server.Close() // once the last request has ended, all is in the log
	if n := strings.Count(log.String(), "out of order"); n != 2 {
		t.Errorf("%d panics in the log: %s", n, log.String())
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	text := strings.Repeat("0123456789", limit/10)
	broken := errors.New("broken")
	for _, tc := range []struct {
		name     string
		body     io.Reader
		length   int64 // -1 is not announced
		encoding string
		want     string
		err      error
	}{
		{name: "none", body: http.NoBody},
		{name: "small", body: strings.NewReader("x"), length: 1, want: "x"},
		{name: "small, not announced", body: strings.NewReader("x"), length: -1, want: "x"},
		{name: "all", body: strings.NewReader(text), length: limit, want: text},
		{name: "all, not announced", body: strings.NewReader(text), length: -1, want: text},
		{name: "in drops", body: iotest.OneByteReader(strings.NewReader(text)), length: -1, want: text},
		{name: "end with the data", body: iotest.DataErrReader(strings.NewReader(text)), length: limit, want: text},
		{name: "one more", body: strings.NewReader(text + "x"), length: limit + 1, err: middleware.ErrBodyTooLarge},
		{name: "one more, not announced", body: strings.NewReader(text + "x"), length: -1, err: middleware.ErrBodyTooLarge},
		{name: "broken", body: io.MultiReader(strings.NewReader("x"), iotest.ErrReader(broken)), length: 10, err: middleware.ErrBodyCut},
		{name: "cut", body: iotest.ErrReader(io.ErrUnexpectedEOF), length: 10, err: middleware.ErrBodyCut},
		{name: "slow", body: iotest.ErrReader(timeout{}), length: 10, err: middleware.ErrBodySlow},
		{name: "plain", body: strings.NewReader("x"), length: 1, encoding: "Identity", want: "x"},
		{name: "compressed by nobody", body: strings.NewReader("x"), length: 1, encoding: "br", err: middleware.ErrBodyEncoded},
		{name: "compressed twice", body: gzipped(t, "x"), length: -1, encoding: "gzip, gzip", err: middleware.ErrBodyEncoded},
		{name: "compressed", body: gzipped(t, "x"), length: -1, encoding: "GZIP", want: "x"},
		{name: "compressed, in drops", body: iotest.OneByteReader(gzipped(t, text)), length: -1, encoding: "gzip", want: text},
		{name: "compressed, all", body: gzipped(t, text), length: -1, encoding: "x-gzip", want: text},
		{name: "compressed, in members", body: gzipped(t, text[:50], "", text[50:]), length: -1, encoding: "gzip", want: text},
		{name: "compressed, one more", body: gzipped(t, text+"x"), length: -1, encoding: "gzip", err: middleware.ErrBodyTooLarge},
		{name: "compressed, a bomb", body: gzipped(t, strings.Repeat(text, 100)), length: -1, encoding: "gzip", err: middleware.ErrBodyTooLarge},
		{name: "compressed, long and empty", body: gzipped(t, make([]string, limit/20)...), length: -1, encoding: "gzip", err: middleware.ErrBodyTooLarge},
		{name: "compressed, not", body: strings.NewReader("{}"), length: 2, encoding: "gzip", err: middleware.ErrBodyCorrupt},
		{name: "compressed, with more behind", body: io.MultiReader(gzipped(t, "x"), strings.NewReader("{}")), length: -1, encoding: "gzip", err: middleware.ErrBodyCorrupt},
		{name: "compressed, cut in the head", body: io.LimitReader(gzipped(t, text), 5), length: -1, encoding: "gzip", err: middleware.ErrBodyCorrupt},
		{name: "compressed, cut", body: io.LimitReader(gzipped(t, text), 100), length: -1, encoding: "gzip", err: middleware.ErrBodyCorrupt},
		{name: "compressed, broken", body: io.MultiReader(io.LimitReader(gzipped(t, text), 100), iotest.ErrReader(broken)), length: -1, encoding: "gzip", err: middleware.ErrBodyCut},
		{name: "compressed, slow", body: iotest.ErrReader(timeout{}), length: -1, encoding: "gzip", err: middleware.ErrBodySlow},
		{name: "compressed, of a bad sum", body: damaged(t, gzipped(t, text)), length: -1, encoding: "gzip", err: middleware.ErrBodyCorrupt},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			bodies := middleware.NewBodies(limit, 0)
			// More often than all would fit at one time: what was released counts no more.
			for range 5 {
				r := httptest.NewRequest("POST", "/", tc.body)
				r.ContentLength = tc.length
				r.Header.Set("Content-Encoding", tc.encoding)
				got, release, err := bodies.Read(r)
				release()
				if string(got) != tc.want || !errors.Is(err, tc.err) {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
				if s, ok := tc.body.(*strings.Reader); ok {
					if _, err := s.Seek(0, io.SeekStart); err != nil {
						t.Fatal(err)
					}
					continue
				}
				return
			}
		})
	}
}

// gzipped is a stream of one member for each text.
func gzipped(t testing.TB, texts ...string) *strings.Reader {
	t.Helper()
	var out strings.Builder
	w := gzip.NewWriter(nil)
	for _, text := range texts {
		w.Reset(&out)
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return strings.NewReader(out.String())
}

// damaged has another checksum than its stream.
func damaged(t testing.TB, stream *strings.Reader) *strings.Reader {
	t.Helper()
	raw, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-8] ^= 1
	return strings.NewReader(string(raw))
}

type timeout struct{}

func (timeout) Error() string   { return "too slow" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

func TestBodiesHeldAreBounded(t *testing.T) {
	t.Parallel()
	bodies := middleware.NewBodies(1000, 0)
	read := func() (func(), error) {
		_, release, err := bodies.Read(httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", 999))))
		return release, err
	}
	var held []func()
	for {
		release, err := read()
		if err != nil {
			if !errors.Is(err, middleware.ErrBusy) {
				t.Fatal(err)
			}
			release()
			break
		}
		if held = append(held, release); len(held) > 1000 {
			t.Fatal("no bound")
		}
	}
	held[0]()
	release, err := read()
	if err != nil {
		t.Fatalf("no place after a release: %v", err)
	}
	release()
	for _, release := range held[1:] {
		release()
	}
}
