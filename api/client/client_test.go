package client_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/client"
	"github.com/floeberg/floeberg/test/port"
)

// script is a server that gives its answers in order, the last one for ever.
type script struct {
	*httptest.Server
	mu      sync.Mutex
	answers []http.HandlerFunc
	asked   []*http.Request
	bodies  []string
}

func serve(t *testing.T, answers ...http.HandlerFunc) *script {
	t.Helper()
	s := &script{answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		s.asked, s.bodies = append(s.asked, r), append(s.bodies, string(body))
		answer := s.answers[0]
		if len(s.answers) > 1 {
			s.answers = s.answers[1:]
		}
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *script) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func refuse(status int, errorType, message, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		text, _ := json.Marshal(message)
		answer(status, fmt.Sprintf(`{"error":{"message":%s,"type":%q,"code":%d}}`, text, errorType, status))(w, r)
	}
}

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }

// dead is an address at which nobody listens.
func dead(t *testing.T) string {
	t.Helper()
	return "http://" + port.Address(t)
}

func newClient(t *testing.T, addresses ...string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Addresses: addresses, Key: "secret", Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

var unavailable = refuse(503, "ServiceUnavailableException", "no leader", "1")

func TestReadsGoToTheNextNode(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]http.HandlerFunc{
		"no leader":         unavailable,
		"no Retry-After":    answer(503, "upstream"),
		"broken connection": hangUp,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two := serve(t, first), serve(t, answer(200, `{"x":1}`))
			c := newClient(t, dead(t), one.URL, two.URL)
			for range 2 {
				var got map[string]int
				if err := c.Get(t.Context(), "/p", nil, &got); err != nil || got["x"] != 1 {
					t.Fatalf("%v, %v", got, err)
				}
			}
			if len(one.requests()) != 1 || len(two.requests()) != 2 {
				t.Errorf("%d and %d requests: the node that answered is not asked first", len(one.requests()), len(two.requests()))
			}
		})
	}
}

// One node in the middle of an election is asked again, as it says.
func TestWaitsAsTold(t *testing.T) {
	t.Parallel()
	s := serve(t, unavailable, refuse(429, "SlowDownException", "slow", "1"), answer(200, `{}`))
	begun := time.Now()
	if err := newClient(t, s.URL).Post(t.Context(), "/p", nil, nil); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 2*time.Second {
		t.Errorf("two pauses of a second took %s", took)
	}
	asked := s.requests()
	key := asked[0].Header.Get("Idempotency-Key")
	for _, r := range asked {
		if r.Header.Get("Idempotency-Key") != key || len(key) != 36 || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%v", r.Header)
		}
	}
}

func TestAChangeIsNeverSentTwiceInDoubt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		first http.HandlerFunc
		says  string
	}{
		"broken connection":       {hangUp, "may have been made"},
		"no Retry-After":          {refuse(503, "X", "who knows", ""), "who knows"},
		"outcome unknown":         {refuse(500, "CommitStateUnknownException", "not known", ""), "not known"},
		"a proxy's word":          {answer(502, "<html>bad\ngateway"), "<html>bad gateway"},
		"a refusal is no failure": {refuse(409, "CommitFailedException", "too late", ""), "too late"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two := serve(t, tc.first), serve(t, answer(200, `{}`))
			err := newClient(t, one.URL, two.URL).Post(t.Context(), "/p", map[string]int{"a": 1}, nil)
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v", err)
			}
			if len(one.requests()) != 1 || len(two.requests()) != 0 {
				t.Errorf("%d and %d requests", len(one.requests()), len(two.requests()))
			}
		})
	}
	// Where nothing was sent, or the node vouches that nothing was done, it is safe.
	one, two := serve(t, unavailable), serve(t, answer(200, `{}`))
	if err := newClient(t, dead(t), one.URL, two.URL).Post(t.Context(), "/p", map[string]int{"a": 1}, nil); err != nil {
		t.Fatal(err)
	}
	if a, b := one.requests()[0].Header, two.requests()[0].Header; a.Get("Idempotency-Key") != b.Get("Idempotency-Key") {
		t.Errorf("%v, %v", a, b)
	}
	if diff := cmp.Diff([]string{`{"a":1}`}, two.bodies); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	t.Parallel()
	gone := dead(t)
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"refusal":      {refuse(404, "NoSuchTableException", "Table does not exist: a.t", ""), "Table does not exist: a.t"},
		"steering":     {refuse(400, "BadRequestException", "a\r\nb\x1b[2J", ""), "a  b [2J"},
		"key":          {refuse(401, "NotAuthorizedException", "Not authorized", ""), "FLOEBERG_KEY"},
		"defect":       {refuse(500, "InternalServerError", "Internal error", ""), "500 InternalServerError from"},
		"no floeberg":  {answer(404, "page not found\n"), "is no floeberg: it answers 404 page not found"},
		"elsewhere":    {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, gone, http.StatusTemporaryRedirect) }, "307"},
		"no JSON":      {answer(200, "hello"), "can't be read"},
		"a large page": {answer(404, strings.Repeat("x", 10000)), "…"},
	} {
		var got map[string]any
		err := newClient(t, serve(t, tc.answer).URL).Get(t.Context(), "/p", nil, &got)
		if err == nil || !strings.Contains(err.Error(), tc.says) || strings.ContainsAny(err.Error(), "\n\r\x1b") || len(err.Error()) > 500 {
			t.Errorf("%s: %v", name, err)
		}
	}
	two := dead(t)
	err := newClient(t, gone, two).Get(t.Context(), "/p", nil, nil)
	if err == nil || !strings.Contains(err.Error(), gone) || !strings.Contains(err.Error(), two) {
		t.Errorf("it does not say who was asked: %v", err)
	}
}

// What a node said is worth more than that the time was over before the next word.
func TestTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	hangs := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	c, err := client.New(client.Options{Addresses: []string{hangs.URL}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Get(t.Context(), "/p", nil, nil); err == nil || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("got %v", err)
	}
	if err := c.Post(t.Context(), "/p", nil, nil); err == nil || !strings.Contains(err.Error(), "may have been made") {
		t.Errorf("got %v", err)
	}
	// It is told to come back in a second, which is too late.
	busy, err := client.New(client.Options{Addresses: []string{serve(t, unavailable).URL}, Timeout: 900 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(busy.Close)
	if err := busy.Get(t.Context(), "/p", nil, nil); err == nil || !strings.Contains(err.Error(), "no leader") {
		t.Errorf("got %v", err)
	}
	// It says that it has no leader, and nothing any more when it is asked again.
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		node := serve(t, unavailable, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		c, err := client.New(client.Options{Addresses: []string{node.URL}, Timeout: 1500 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		says := []string{"no answer in time", "no leader"}
		if method == http.MethodGet {
			err = c.Get(t.Context(), "/p", nil, nil)
		} else {
			err = c.Post(t.Context(), "/p", nil, nil)
			says = append(says, "may have been made")
		}
		for _, what := range says {
			if err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("%s: %v does not say %q", method, err, what)
			}
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "ftp://x", "http://", "http://a?b=c", "http://user:pass@a", "http://a#b", "http://a b"} {
		if _, err := client.New(client.Options{Addresses: []string{bad}}); err == nil || !strings.Contains(err.Error(), "127.0.0.1:8181") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := client.New(client.Options{}); err == nil {
		t.Error("no address is enough")
	}
	s := serve(t, answer(200, `{}`))
	for _, good := range []string{s.URL + "/", " " + s.URL, strings.TrimPrefix(s.URL, "http://"), s.URL + "/below/"} {
		if err := newClient(t, good).Get(t.Context(), "/p", nil, nil); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	if last := s.requests()[3].URL.Path; last != "/below/p" {
		t.Errorf("asked for %s", last)
	}
}
