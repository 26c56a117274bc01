package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/api/rest"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/storage"
)

// sharedLog is one log in front of one real state machine; all nodes of a site
// are on it, so they are always current.
type sharedLog struct {
	machine *fsm.Machine
	mu      sync.Mutex
	index   uint64
}

func (l *sharedLog) Propose(_ context.Context, tx *command.Transaction) (command.Result, error) {
	id := uuid.New()
	tx.Id = id[:]
	tx.DeadlineMs = l.NowMs() + 60_000
	data, err := command.Encode(&command.Entry{Commands: []*command.Command{{
		TimeMs: l.NowMs(), Kind: &command.Command_Transaction{Transaction: tx},
	}}})
	if err != nil {
		return command.Result{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index++
	answers := l.machine.ApplyBatch([]*raft.Log{{Index: l.index, Term: 1, Type: raft.LogCommand, Data: data}})
	results, ok := answers[0].([]command.Result)
	if !ok || len(results) != 1 {
		return command.Result{}, fmt.Errorf("unexpected answer %v", answers)
	}
	return results[0], nil
}

func (l *sharedLog) View(context.Context, catalog.Read) (*state.View, error) { return l.machine.View() }

func (l *sharedLog) WaitApplied(ctx context.Context, index uint64) error {
	return l.machine.WaitApplied(ctx, index)
}

func (l *sharedLog) NowMs() uint64 { return uint64(time.Now().UnixMilli()) }

// site is two warehouses, a key for each group, and nodes in front of them.
type site struct {
	t     testing.TB
	log   *sharedLog
	root  string
	store storage.Store
}

func newSite(t testing.TB) *site {
	t.Helper()
	machine, err := fsm.Open(fsm.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	root := "file://" + t.TempDir()
	store, err := storage.Open(root, storage.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, log: &sharedLog{machine: machine}, root: root, store: store}
	t.Cleanup(func() {
		if err := errors.Join(store.Close(), machine.Close()); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"default", "other"} {
		s.put(state.WarehouseKey(name), encode(t, &state.Warehouse{Name: name, Root: root + "/" + name}))
	}
	for _, group := range []string{authz.GroupAdmin, authz.GroupWriter, authz.GroupReader, authz.GroupAuditor} {
		s.giveKey(group, group)
	}
	return s
}

func encode(t testing.TB, rec proto.Message) []byte {
	t.Helper()
	data, err := state.Encode(rec)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// keyOf is the API key of a name.
func keyOf(name string) string { return "fb_test_key_of_" + name }

func (s *site) put(key, value []byte) {
	s.t.Helper()
	s.change(command.PutValue(key, value))
}

func (s *site) change(write *command.Write) {
	s.t.Helper()
	if _, err := s.log.Propose(s.t.Context(), &command.Transaction{Writes: []*command.Write{write}}); err != nil {
		s.t.Fatal(err)
	}
}

// giveKey makes a key, or changes its groups.
func (s *site) giveKey(name string, groups ...string) {
	s.t.Helper()
	s.put(state.APIKeyKey(authn.HashKey(keyOf(name))), encode(s.t, &state.APIKey{Id: "id-" + name, Name: name, Groups: groups}))
}

func (s *site) revokeKey(name string) {
	s.t.Helper()
	s.change(command.DeleteKey(state.APIKeyKey(authn.HashKey(keyOf(name)))))
}

type (
	serveOptions = serve.Options
	restOptions  = rest.Options
)

// nodeOptions are all that a node is made of.
type nodeOptions struct {
	serveOptions
	restOptions
}

// node is one more node of the site.
func (s *site) node(id string, adjust ...func(*nodeOptions)) http.Handler {
	s.t.Helper()
	c, err := catalog.New(catalog.Options{Log: s.log, Store: s.store, NewUUID: uuid.NewString, DefaultWarehouse: "default"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	view := func(context.Context) (*state.View, error) { return s.log.machine.View() }
	keys, err := authn.NewKeys(authn.Options{Local: view, Current: view, NowMs: s.log.NowMs})
	if err != nil {
		s.t.Fatal(err)
	}
	opts := nodeOptions{
		serveOptions{
			Authenticator: keys, Authorizer: authz.Groups{}, NodeID: id,
			Logger: slog.New(slog.DiscardHandler), Open: rest.Open(),
		},
		restOptions{Catalog: c, IdempotencyLifetime: 30 * time.Minute},
	}
	for _, a := range adjust {
		a(&opts)
	}
	routes, err := rest.Routes(opts.restOptions)
	if err != nil {
		s.t.Fatal(err)
	}
	h, err := serve.New(opts.serveOptions, routes)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// ask is a request and its answer.
type ask struct {
	method, path string
	as           string // whose key; "" is the admin's, "-" is none
	body         string
	header       http.Header
}

func (a ask) request() *http.Request {
	var body io.Reader
	if a.body != "" {
		body = strings.NewReader(a.body)
	}
	r := httptest.NewRequest(a.method, a.path, body)
	for name, values := range a.header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	switch a.as {
	case "-":
	case "":
		r.Header.Set("Authorization", "Bearer "+keyOf(authz.GroupAdmin))
	default:
		r.Header.Set("Authorization", "Bearer "+keyOf(a.as))
	}
	return r
}

func (a ask) of(h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, a.request())
	return w
}

// want asks and insists on a status.
func (a ask) want(t testing.TB, h http.Handler, status int) *httptest.ResponseRecorder {
	t.Helper()
	w := a.of(h)
	if w.Code != status {
		t.Fatalf("%s %s: status %d, want %d: %s", a.method, a.path, w.Code, status, w.Body)
	}
	if w.Code >= 400 && a.method != http.MethodHead {
		errorOf(t, w)
	}
	return w
}

type errorBody struct {
	Error struct {
		Message, Type string
		Code          int
	}
}

// errorOf reads an error body and insists that it is one.
func errorOf(t testing.TB, w *httptest.ResponseRecorder) errorBody {
	t.Helper()
	var body errorBody
	dec := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		t.Fatalf("status %d: %q is no error body: %v", w.Code, w.Body, err)
	}
	if body.Error.Code != w.Code || body.Error.Type == "" || body.Error.Message == "" {
		t.Fatalf("status %d: %q is no complete error body", w.Code, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Fatalf("an error body of type %q", got)
	}
	return body
}

// wantError asks and insists on a status and the type of an error.
func (a ask) wantError(t testing.TB, h http.Handler, status int, errorType string) errorBody {
	t.Helper()
	body := errorOf(t, a.want(t, h, status))
	if body.Error.Type != errorType {
		t.Fatalf("%s %s: %s (%s), want %s", a.method, a.path, body.Error.Type, body.Error.Message, errorType)
	}
	return body
}

func decode[T any](t testing.TB, w *httptest.ResponseRecorder) T {
	t.Helper()
	var out T
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%q: %v", w.Body, err)
	}
	return out
}

const oneColumn = `{"type":"struct","fields":[{"id":1,"name":"x","type":"long","required":false}]}`

func createNamespace(t testing.TB, h http.Handler, path ...string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"namespace": path})
	if err != nil {
		t.Fatal(err)
	}
	ask{method: "POST", path: "/v1/default/namespaces", body: string(body)}.want(t, h, 200)
}

func createTableBody(name string) string {
	quoted, err := json.Marshal(name)
	if err != nil {
		panic(err)
	}
	return `{"name":` + string(quoted) + `,"schema":` + oneColumn + `}`
}

type loaded struct {
	MetadataLocation *string         `json:"metadata-location"`
	Metadata         json.RawMessage `json:"metadata"`
	Config           *struct{}       `json:"config"`
}
