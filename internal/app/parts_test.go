package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/config"
)

// What a client may repeat without harm hangs on this table.
func TestProposalErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ from, want error }{
		{cluster.ErrUnavailable, catalog.ErrNotProposed},
		{cluster.ErrInvalidTransaction, catalog.ErrNotProposed},
		{fmt.Errorf("%w: %w", cluster.ErrUnavailable, cluster.ErrRemoved), catalog.ErrNotProposed},
		{cluster.ErrBusy, catalog.ErrQueueFull},
		{cluster.ErrUnknown, catalog.ErrOutcomeUnknown},
		{cluster.ErrClosed, catalog.ErrOutcomeUnknown},
		{context.DeadlineExceeded, catalog.ErrOutcomeUnknown},
		{errors.New("never heard of"), catalog.ErrOutcomeUnknown},
		// Unknown counts, whatever else is in the chain.
		{fmt.Errorf("%w: %w", cluster.ErrUnknown, cluster.ErrUnavailable), catalog.ErrOutcomeUnknown},
	} {
		got := proposalError(fmt.Errorf("context: %w", tc.from))
		if !errors.Is(got, tc.want) || !errors.Is(got, tc.from) || errors.Is(got, catalog.ErrNotMember) != errors.Is(tc.from, cluster.ErrRemoved) {
			t.Errorf("%v became %v", tc.from, got)
		}
		for _, other := range []error{catalog.ErrNotProposed, catalog.ErrQueueFull, catalog.ErrOutcomeUnknown} {
			if !errors.Is(other, tc.want) && errors.Is(got, other) {
				t.Errorf("%v is also %v", tc.from, other)
			}
		}
	}
	if proposalError(nil) != nil {
		t.Error("no error became one")
	}
}

func TestConsistencies(t *testing.T) {
	t.Parallel()
	for name, want := range map[config.Consistency]cluster.Consistency{
		config.Linearizable: cluster.Linearizable,
		config.Bounded:      cluster.Bounded,
		config.Stale:        cluster.Stale,
		"unheard-of":        cluster.Linearizable,
	} {
		if got := clusterConsistency(catalogConsistency(name)); got != want {
			t.Errorf("%s became %v", name, got)
		}
	}
}

func TestCleanupUndoesAllInReverse(t *testing.T) {
	t.Parallel()
	var c cleanup
	var order []string
	failing := errors.New("stuck")
	for _, what := range []string{"first", "second", "third"} {
		c.add(what, func(context.Context) error {
			order = append(order, what)
			if what == "second" {
				return failing
			}
			return nil
		})
	}
	if err := c.run(t.Context()); !errors.Is(err, failing) || !strings.Contains(err.Error(), "second") {
		t.Error(err)
	}
	if err := c.run(t.Context()); err != nil {
		t.Errorf("undone twice: %v", err)
	}
	if diff := cmp.Diff([]string{"third", "second", "first"}, order); diff != "" {
		t.Error(diff)
	}
}

func TestANodeThatStartsAnswersProbesAndKeepsTheRestWaiting(t *testing.T) {
	t.Parallel()
	g := newGate("n1")
	ask := func(ctx context.Context, method, path string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		g.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, method, path, nil))
		return rec
	}
	if rec := ask(t.Context(), http.MethodGet, "/health"); rec.Code != http.StatusOK {
		t.Errorf("health: %d", rec.Code)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for path, ctx := range map[string]context.Context{"/ready": t.Context(), "/metrics": t.Context(), "/v1/config": gone} {
		rec := ask(ctx, http.MethodGet, path)
		if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), `"code":503`) {
			t.Errorf("%s: %d %v %s", path, rec.Code, rec.Header(), rec.Body)
		}
		if rec.Header().Get("X-Request-Id") == "" || rec.Header().Get("Floeberg-Node") != "n1" {
			t.Errorf("%s: %v", path, rec.Header())
		}
	}
	if rec := ask(gone, http.MethodHead, "/v1/default/namespaces/a"); rec.Body.Len() != 0 {
		t.Errorf("HEAD has a body: %s", rec.Body)
	}

	answered := make(chan int)
	go func() { answered <- ask(t.Context(), http.MethodGet, "/v1/config").Code }()
	g.open(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	if code := <-answered; code != http.StatusTeapot {
		t.Errorf("a request that waited got %d", code)
	}
	if rec := ask(t.Context(), http.MethodGet, "/health"); rec.Code != http.StatusTeapot {
		t.Errorf("after the start: %d", rec.Code)
	}
}
