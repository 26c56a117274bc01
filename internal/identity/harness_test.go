package identity_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/identity"
)

var (
	admin   = authz.Principal{ID: "root", Groups: []string{"admin"}}
	manager = authz.Principal{ID: "manager", Groups: []string{"key-managers", "reader"}}
	ofAcme  = authz.Principal{ID: "acme-root", Tenant: "acme", Groups: []string{"admin"}}
)

// later is a log whose replicated time is ahead of this machine's.
type later struct {
	identity.Log
	by time.Duration
}

func (l *later) NowMs() uint64 { return l.Log.NowMs() + uint64(l.by.Milliseconds()) }

// vault is the keys of a site, whose clock a test can put forward.
type vault struct {
	*identity.Keys
	t     *testing.T
	site  *apitest.Site
	clock *later
	authn *authn.Keys
}

func newVault(t *testing.T) *vault {
	t.Helper()
	site := apitest.NewSite(t)
	v := &vault{t: t, site: site, clock: &later{Log: site.Catalog()}}
	var err error
	if v.Keys, err = identity.NewKeys(v.clock, authn.MintKey); err != nil {
		t.Fatal(err)
	}
	v.authn = v.authenticator(nil)
	return v
}

func (v *vault) authenticator(used func(string, uint64)) *authn.Keys {
	v.t.Helper()
	keys, err := authn.NewKeys(authn.Options{
		Local: v.view, Proven: v.view, Current: v.view, NowMs: v.clock.NowMs, Used: used,
	})
	if err != nil {
		v.t.Fatal(err)
	}
	return keys
}

func (v *vault) view(context.Context) (*state.View, error) { return v.site.Log.State() }

func change() catalog.Change { return catalog.Change{Principal: "root"} }

// keyed is a change under an Idempotency-Key.
func keyed(key string) catalog.Change {
	return catalog.Change{Principal: "root", Key: key, Fingerprint: []byte("the same request")}
}

func newKey() string { return uuid.NewString() }

func (v *vault) create(q identity.NewKey) *identity.Minted {
	v.t.Helper()
	made, err := v.Create(v.t.Context(), change(), admin, q)
	if err != nil {
		v.t.Fatal(err)
	}
	return made
}

// as is who a secret proves; the error is why it proves nobody.
func (v *vault) as(secret string) (authz.Principal, error) {
	return v.authn.Authenticate(v.t.Context(), authn.Credentials{Key: secret})
}

func (v *vault) all(by authz.Principal) []identity.Key {
	v.t.Helper()
	list, err := v.List(v.t.Context(), catalog.Read{}, by, catalog.Page{Paged: true})
	if err != nil {
		v.t.Fatal(err)
	}
	return list.Keys
}

func (v *vault) one(id string) identity.Key {
	v.t.Helper()
	for _, k := range v.all(admin) {
		if k.ID == id {
			return k
		}
	}
	v.t.Fatalf("%s is not listed", id)
	return identity.Key{}
}

// refused wants a refusal of a kind that says something.
func refused(t *testing.T, err error, kind catalog.Kind, says string) {
	t.Helper()
	if catalog.KindOf(err) != kind || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v (%s), want %s and %q", err, catalog.KindOf(err), kind, says)
	}
}

func is(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// stored is every byte of the state under keys of keyspaces that hold answers and keys.
func (v *vault) stored() string {
	v.t.Helper()
	view, err := v.site.Log.State()
	if err != nil {
		v.t.Fatal(err)
	}
	defer view.Close()
	var all strings.Builder
	for space := state.SpaceEvent; space < 0xFF; space++ {
		err := view.Scan(state.SpaceRange(space), func(key []byte, value state.Value) bool {
			all.Write(key)
			all.Write(value.Data)
			return true
		})
		if err != nil {
			v.t.Fatal(err)
		}
	}
	return all.String()
}
