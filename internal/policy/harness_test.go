package policy_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/policy"
)

// Texts for the cluster.
const (
	adminsMay = `@id("admin")
permit (principal in Floeberg::Group::"admin", action, resource);
`
	readersToo = adminsMay + `@id("reader")
permit (principal in Floeberg::Group::"reader", action in Floeberg::Action::"Read", resource);
`
	nobodyMay = `@id("closed")
forbid (principal, action, resource);
`
)

var (
	ann      = policy.By{Principal: authz.Principal{ID: "key-ann", Name: "ann", Groups: []string{"admin"}, Proof: authz.ProofKey}}
	breaking = policy.By{Principal: authz.Principal{ID: "key-root", Name: "bootstrap", BreakGlass: true, Proof: authz.ProofKey}}
)

// office is the policies of a site with the warehouses "default" and "other".
type office struct {
	*policy.Policies
	t    *testing.T
	site *apitest.Site
}

func newOffice(t *testing.T) *office {
	t.Helper()
	site := apitest.NewSite(t)
	p, err := policy.New(site.Catalog(), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &office{Policies: p, t: t, site: site}
}

func (o *office) state(see func(*state.View)) {
	o.t.Helper()
	v, err := o.site.Log.State()
	if err != nil {
		o.t.Fatal(err)
	}
	defer v.Close()
	see(v)
}

func change(by policy.By) catalog.Change { return catalog.Change{Principal: by.Principal.ID} }

// keyed is a change under an Idempotency-Key.
func keyed(by policy.By, key string) catalog.Change {
	ch := change(by)
	ch.Key, ch.Fingerprint = key, []byte("the same request")
	return ch
}

func (o *office) put(q policy.Put) *policy.Version {
	o.t.Helper()
	v, err := o.Put(o.t.Context(), change(ann), ann, q)
	if err != nil {
		o.t.Fatal(err)
	}
	return v
}

func (o *office) inForce(scope string) *policy.Version {
	o.t.Helper()
	v, err := o.Get(o.t.Context(), catalog.Read{}, scope, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	return v
}

func (o *office) history(scope string) []*policy.Version {
	o.t.Helper()
	list, err := o.History(o.t.Context(), catalog.Read{}, scope, catalog.Page{Paged: true})
	if err != nil {
		o.t.Fatal(err)
	}
	return list.Versions
}

// numbers are the versions of a list.
func numbers(list []*policy.Version) []uint64 {
	out := []uint64{}
	for _, v := range list {
		out = append(out, v.Number)
	}
	return out
}

// refused wants a refusal of a kind that says something.
func refused(t *testing.T, err error, kind catalog.Kind, says string) {
	t.Helper()
	if catalog.KindOf(err) != kind || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v (%q), want %s and %q", err, catalog.KindOf(err), kind, says)
	}
}

func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

func number(n uint64) *uint64 { return &n }

// unavailable is a log that has no leader.
type unavailable struct{ policy.Log }

func (unavailable) View(context.Context, catalog.Read) (*state.View, error) {
	return nil, catalog.Refuse(catalog.KindUnavailable, "no leader")
}
