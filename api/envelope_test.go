package api_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/api/serve"
)

// brittle is a server that has few places, and what it is asked for to get each error.
func brittle(t *testing.T) *httptest.Server {
	t.Helper()
	rates, err := middleware.NewRates(middleware.RateOptions{Failures: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := newTenants(t, func(o *serve.Options) {
		o.MaxBodyBytes, o.MaxHeaders, o.BodyStall, o.Rates = 2048, 16, 200*time.Millisecond, rates
		o.Ready = func() error { return errors.New("no leader") }
		o.Open = append(o.Open, serve.OpenRoute{Method: http.MethodGet, Path: "/panic", Handle: func(*gin.Context) { panic("at the disco") }})
	})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server
}

// Every error that docs/api.md lists has Iceberg's form, over the wire, wherever it comes from.
func TestTrapErrorsOfAnotherForm(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([0-9, ]+) \|`).FindAllStringSubmatch(string(page), -1) {
		for _, status := range strings.Split(m[1], ", ") {
			left[status] = status >= "400"
		}
	}
	server := brittle(t)
	was := func(what string, res *http.Response, status int) {
		t.Helper()
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		w := httptest.NewRecorder()
		maps.Copy(w.Header(), res.Header)
		w.WriteHeader(res.StatusCode)
		_, _ = w.Write(body) // a recorder takes all
		if res.StatusCode != status {
			t.Fatalf("%s: %d %s, want %d", what, res.StatusCode, body, status)
		}
		apitest.ErrorOf(t, w)
		if wait := res.Header.Get("Retry-After"); (wait != "") != (status == 429 || status == 503) {
			t.Errorf("%s: Retry-After is %q", what, wait)
		}
		delete(left, strconv.Itoa(status))
	}
	send := func(a apitest.Ask) *http.Response {
		t.Helper()
		r := a.Request()
		req, err := http.NewRequestWithContext(t.Context(), a.Method, server.URL+a.Path, r.Body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = r.Header
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	many := http.Header{}
	for i := range 30 {
		many.Set(fmt.Sprintf("X-%d", i), "x")
	}
	for what, tc := range map[string]struct {
		apitest.Ask
		status int
	}{
		"no JSON":                {apitest.Ask{Method: "POST", Path: "/v1/default/namespaces", Body: `{"namespace":`}, 400},
		"no query":               {apitest.Ask{Method: "GET", Path: "/v1/config?warehouse=%zz"}, 400},
		"nobody":                 {apitest.Ask{Method: "GET", Path: "/v1/config", As: apitest.NoKey}, 401},
		"no right":               {apitest.Ask{Method: "POST", Path: "/v1/default/namespaces", As: "beta", Body: `{"namespace":["new"]}`}, 403},
		"a page of others":       {apitest.Ask{Method: "POST", Path: "/v1/default/namespaces", Body: `{}`, Header: http.Header{"Origin": {"https://evil.example"}}}, 403},
		"nothing there":          {apitest.Ask{Method: "GET", Path: "/v1/default/namespaces/none"}, 404},
		"no such path":           {apitest.Ask{Method: "GET", Path: "/v2/config"}, 404},
		"no such method":         {apitest.Ask{Method: "PATCH", Path: "/v1/config"}, 405},
		"of the protocol":        {apitest.Ask{Method: "GET", Path: "/v1/default/namespaces/beta/functions"}, 406},
		"no form of it":          {apitest.Ask{Method: "GET", Path: "/v1/config", Header: http.Header{"Accept-Encoding": {"identity;q=0, br"}}}, 406},
		"taken":                  {apitest.Ask{Method: "POST", Path: "/v1/default/namespaces", Body: `{"namespace":["beta"]}`}, 409},
		"too large":              {apitest.Ask{Method: "POST", Path: "/v1/default/namespaces", Body: `{"namespace":["` + strings.Repeat("x", 4096) + `"]}`}, 413},
		"compressed by a friend": {apitest.Ask{Method: "POST", Path: "/v1/default/namespaces", Body: `{}`, Header: http.Header{"Content-Encoding": {"br"}}}, 415},
		"both":                   {apitest.Ask{Method: "POST", Path: "/v1/default/namespaces/beta/properties", Body: `{"updates":{"a":"b"},"removals":["a"]}`}, 422},
		"too many headers":       {apitest.Ask{Method: "GET", Path: "/v1/config", Header: many}, 431},
		"a defect":               {apitest.Ask{Method: "GET", Path: "/panic"}, 500},
		"not ready":              {apitest.Ask{Method: "GET", Path: "/ready"}, 503},
	} {
		was(what, send(tc.Ask), tc.status)
	}
	was("a body that stops", stopping(t, server), 408)
	for i := 0; left["429"]; i++ {
		if i > 100 {
			t.Fatal("nobody who guesses keys is told to wait")
		}
		if res := send(apitest.Ask{Method: "GET", Path: "/v1/config", As: fmt.Sprint("guess", i)}); res.StatusCode != 401 {
			was("guesses", res, 429)
		} else {
			res.Body.Close()
		}
	}
	maps.DeleteFunc(left, func(_ string, isError bool) bool { return !isError })
	if len(left) > 0 {
		t.Errorf("docs/api.md lists statuses that were not tried: %v", slices.Sorted(maps.Keys(left)))
	}
}

// stopping sends a request whose body stops, and gives the answer.
func stopping(t *testing.T, server *httptest.Server) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "POST /v1/default/namespaces HTTP/1.1\r\nHost: h\r\nX-Api-Key: %s\r\nContent-Length: 100\r\n\r\n{", apitest.KeyOf("admin")); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}
