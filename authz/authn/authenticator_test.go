package authn_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/fsm/state"
)

// node is a node's state: what it has, and how many views of it are open.
type node struct {
	mu     sync.Mutex
	values map[string]state.Value
	timeMs uint64
	err    error
	open   atomic.Int64
	asked  atomic.Int64
	inside atomic.Int64
	most   atomic.Int64  // the most that waited at one time
	hold   chan struct{} // views wait until it is closed, where it is not nil
}

type reader map[string]state.Value

func (r reader) Get(key []byte) (state.Value, bool, error) {
	v, ok := r[string(key)]
	return v, ok, nil
}

func (r reader) Scan(state.KeyRange, func([]byte, state.Value) bool) error { return nil }

func (n *node) put(t *testing.T, key string, revision uint64, rec *state.APIKey) {
	t.Helper()
	data, err := state.Encode(rec)
	if err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.values == nil {
		n.values = map[string]state.Value{}
	}
	n.values[string(state.APIKeyKey(authn.HashKey(key)))] = state.Value{Data: data, Revision: revision}
}

func (n *node) remove(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.values, string(state.APIKeyKey(authn.HashKey(key))))
}

func (n *node) view(ctx context.Context) (*state.View, error) {
	n.asked.Add(1)
	if n.hold != nil {
		if inside := n.inside.Add(1); inside > n.most.Load() {
			n.most.Store(inside)
		}
		defer n.inside.Add(-1)
		select {
		case <-n.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return nil, n.err
	}
	copied := make(reader, len(n.values))
	for k, v := range n.values {
		copied[k] = v
	}
	n.open.Add(1)
	return state.NewView(copied, 1, n.timeMs, func() { n.open.Add(-1) }), nil
}

func newKeys(t *testing.T, local, current *node, mend ...func(*authn.Options)) *authn.Keys {
	t.Helper()
	opts := authn.Options{Local: local.view, Proven: local.view, Current: current.view, NowMs: func() uint64 { return 1000 }}
	for _, f := range mend {
		f(&opts)
	}
	keys, err := authn.NewKeys(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n := local.open.Load() + current.open.Load(); n != 0 {
			t.Errorf("%d views were not closed", n)
		}
	})
	return keys
}

const secret = "a secret, long enough to be one"

func TestKeyOfThisNode(t *testing.T) {
	t.Parallel()
	local, current := &node{}, &node{}
	local.put(t, secret, 7, &state.APIKey{Id: "key-1", Name: "etl", Tenant: "acme", Groups: []string{"writer"}})
	keys := newKeys(t, local, current)
	p, err := keys.Authenticate(t.Context(), authn.Credentials{Key: secret})
	if err != nil {
		t.Fatal(err)
	}
	want := authz.Principal{
		ID: "key-1", Name: "etl", Tenant: "acme", Groups: []string{"writer"}, KeyID: "key-1", Proof: authz.ProofKey, Type: authz.TypeService,
		Evidence: []authz.Evidence{{Key: state.APIKeyKey(authn.HashKey(secret)), Revision: 7}},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	if current.asked.Load() != 0 {
		t.Error("the leader was asked for a key that this node has")
	}
}

func TestKeyMadeElsewhereIsGoodAtOnce(t *testing.T) {
	t.Parallel()
	local, current := &node{}, &node{}
	current.put(t, secret, 7, &state.APIKey{Id: "key-1"})
	p, err := newKeys(t, local, current).Authenticate(t.Context(), authn.Credentials{Key: secret})
	if err != nil || p.ID != "key-1" {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	down := errors.New("no leader")
	long := make([]byte, authn.MaxKeyBytes+1)
	cases := []struct {
		name           string
		creds          authn.Credentials
		expires        uint64
		localTime      uint64
		currentErr     error
		localErr       error
		want           error
		reason         string
		wantNotAuthned bool
	}{
		{name: "nothing", want: authn.ErrMissing, reason: "missing", wantNotAuthned: true},
		{name: "unreadable", creds: authn.Credentials{Malformed: true}, want: authn.ErrMalformed, reason: "malformed", wantNotAuthned: true},
		{name: "endless", creds: authn.Credentials{Key: string(long)}, want: authn.ErrMalformed, reason: "malformed", wantNotAuthned: true},
		{name: "unknown", creds: authn.Credentials{Key: "wrong"}, want: authn.ErrUnknownKey, reason: "unknown", wantNotAuthned: true},
		{name: "unknown, and no leader", creds: authn.Credentials{Key: "wrong"}, currentErr: down, want: authn.ErrUnavailable, reason: "unavailable"},
		{name: "closed", creds: authn.Credentials{Key: secret}, localErr: down, want: authn.ErrUnavailable, reason: "unavailable"},
		{name: "expired", creds: authn.Credentials{Key: secret}, expires: 1000, want: authn.ErrExpiredKey, reason: "expired", wantNotAuthned: true},
		{name: "expired by the log", creds: authn.Credentials{Key: secret}, expires: 1500, localTime: 1500, want: authn.ErrExpiredKey, reason: "expired", wantNotAuthned: true},
		{name: "good", creds: authn.Credentials{Key: secret}, expires: 1001},
		{name: "good without a leader", creds: authn.Credentials{Key: secret}, currentErr: down},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			local, current := &node{timeMs: tc.localTime, err: tc.localErr}, &node{err: tc.currentErr}
			local.put(t, secret, 1, &state.APIKey{Id: "key-1", ExpiresMs: tc.expires})
			_, err := newKeys(t, local, current).Authenticate(t.Context(), tc.creds)
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if errors.Is(err, authn.ErrUnauthenticated) != tc.wantNotAuthned {
				t.Errorf("%v: unauthenticated is %t", err, !tc.wantNotAuthned)
			}
			if err != nil && authn.Reason(err) != tc.reason {
				t.Errorf("reason %q, want %q", authn.Reason(err), tc.reason)
			}
		})
	}
}

func TestUnknownKeysCanNotKeepTheLeaderBusy(t *testing.T) {
	t.Parallel()
	local, current := &node{}, &node{hold: make(chan struct{})}
	keys := newKeys(t, local, current, func(o *authn.Options) {
		o.MaxConfirmations, o.ConfirmTimeout = 2, 50*time.Millisecond
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := keys.Authenticate(t.Context(), authn.Credentials{Key: "wrong"}); !errors.Is(err, authn.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	if n := current.most.Load(); n < 1 || n > 2 {
		t.Errorf("%d questions to the leader at one time", n)
	}
	// Once the leader answers, so do we.
	close(current.hold)
	if _, err := keys.Authenticate(t.Context(), authn.Credentials{Key: "wrong"}); !errors.Is(err, authn.ErrUnknownKey) {
		t.Errorf("got %v", err)
	}
}

func TestRecheck(t *testing.T) {
	t.Parallel()
	local := &node{}
	local.put(t, secret, 7, &state.APIKey{Id: "key-1"})
	keys := newKeys(t, local, &node{})
	p, err := keys.Authenticate(t.Context(), authn.Credentials{Key: secret})
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Recheck(t.Context(), p); err != nil {
		t.Errorf("nothing changed: %v", err)
	}
	local.put(t, secret, 8, &state.APIKey{Id: "key-1"})
	if err := keys.Recheck(t.Context(), p); !errors.Is(err, authn.ErrChanged) {
		t.Errorf("changed: %v", err)
	}
	local.remove(secret)
	if err := keys.Recheck(t.Context(), p); !errors.Is(err, authn.ErrChanged) {
		t.Errorf("revoked: %v", err)
	}
	local.err = errors.New("closed")
	if err := keys.Recheck(t.Context(), p); !errors.Is(err, authn.ErrUnavailable) {
		t.Errorf("unreadable: %v", err)
	}
}

// A read may show more than the node has applied: what was shown counts.
func TestRecheckGoesByWhatWasShown(t *testing.T) {
	t.Parallel()
	local, shown := &node{}, &node{}
	local.put(t, secret, 7, &state.APIKey{Id: "key-1"})
	shown.put(t, secret, 7, &state.APIKey{Id: "key-1"})
	keys := newKeys(t, local, &node{}, func(o *authn.Options) { o.Proven = shown.view })
	p, err := keys.Authenticate(t.Context(), authn.Credentials{Key: secret})
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Recheck(t.Context(), p); err != nil {
		t.Errorf("nothing changed: %v", err)
	}
	shown.remove(secret)
	if err := keys.Recheck(t.Context(), p); !errors.Is(err, authn.ErrChanged) {
		t.Errorf("revoked, and not applied here yet: %v", err)
	}
	if n := shown.open.Load(); n != 0 {
		t.Errorf("%d views were not closed", n)
	}
}

func TestOff(t *testing.T) {
	t.Parallel()
	p, err := authn.Off{}.Authenticate(t.Context(), authn.Credentials{Malformed: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(authz.Principal{ID: "anonymous", Name: "anonymous", Groups: []string{"admin"}, Proof: authz.ProofNone, Type: authz.TypeUser}, p); diff != "" {
		t.Error(diff)
	}
	if err := (authn.Off{}).Recheck(t.Context(), p); err != nil {
		t.Error(err)
	}
}

func TestNewKeysWantsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := authn.NewKeys(authn.Options{}); err == nil {
		t.Error("an authenticator without a state was made")
	}
}
