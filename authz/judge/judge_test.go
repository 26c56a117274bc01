package judge_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/authz/judge"
	"github.com/floeberg/floeberg/fsm/state"
)

// node is a state as one node has it.
type node struct {
	rows map[string]state.Value
	err  error
	open atomic.Int64
}

func (n *node) view(context.Context) (*state.View, error) {
	if n.err != nil {
		return nil, n.err
	}
	n.open.Add(1)
	return state.NewView(n, 1, 1000, func() { n.open.Add(-1) }), nil
}

func (n *node) Get(key []byte) (state.Value, bool, error) {
	v, ok := n.rows[string(key)]
	return v, ok, nil
}

func (n *node) Scan(state.KeyRange, func([]byte, state.Value) bool) error { return nil }

func (n *node) put(t *testing.T, key []byte, revision uint64, rec proto.Message) {
	t.Helper()
	data, err := state.Encode(rec)
	if err != nil {
		t.Fatal(err)
	}
	if n.rows == nil {
		n.rows = map[string]state.Value{}
	}
	n.rows[string(key)] = state.Value{Data: data, Revision: revision}
}

// policies puts a scope's policies into the state.
func (n *node) policies(t *testing.T, scope, text string, revision uint64) {
	t.Helper()
	n.put(t, state.PolicyVersionKey(scope, revision), revision, &state.PolicyVersion{Version: revision, Text: text})
	n.put(t, state.PolicySetKey(scope), revision, &state.PolicySet{Version: revision})
}

func newJudge(t *testing.T, local, current *node) *judge.Judge {
	t.Helper()
	j, err := judge.New(judge.Options{
		Local: local.view, Proven: local.view, Current: current.view, NowMs: func() uint64 { return 1_700_000_000_000 },
		DefaultWarehouse: "prod", Logger: slog.New(slog.DiscardHandler), ConfirmTimeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if local.open.Load() != 0 || current.open.Load() != 0 {
			t.Errorf("%d and %d views were not closed", local.open.Load(), current.open.Load())
		}
	})
	return j
}

func load(group, warehouse string) authz.Request {
	return authz.Request{
		Principal: authz.Principal{ID: "u", Groups: []string{group}}, Action: authz.ActionLoadTable,
		Resource: authz.Resource{Kind: authz.KindTable, Warehouse: warehouse, Namespace: []string{"a"}, Name: "t"},
	}
}

const (
	onlyG  = `@id("g") permit (principal in Floeberg::Group::"g", action, resource);`
	nobody = `@id("no") forbid (principal, action, resource);`
)

func TestTheJudgeGoesByThePoliciesInForce(t *testing.T) {
	t.Parallel()
	n := &node{}
	j := newJudge(t, n, n)
	ask := func(group, warehouse string) authz.Ruling {
		t.Helper()
		ruling, err := j.Authorize(t.Context(), load(group, warehouse), true)
		if err != nil {
			t.Fatal(err)
		}
		return ruling
	}
	if r := ask("reader", "prod"); !r.Allowed || !slices.Equal(r.Policies, []string{"cluster/reader"}) || len(r.Evidence) != 2 || r.Versions[""] != 0 {
		t.Errorf("with none: %+v", r)
	}
	for _, e := range ask("reader", "prod").Evidence {
		if e.Revision != 0 {
			t.Errorf("%+v, and there is none", e)
		}
	}
	n.policies(t, "", onlyG, 7)
	if r := ask("reader", "prod"); r.Allowed || r.Missing == nil || r.Missing.Kind != authz.KindWarehouse {
		t.Errorf("the ready-made ones still hold: %+v", r)
	}
	if r := ask("g", "prod"); !r.Allowed || !slices.Equal(r.Policies, []string{"cluster/g"}) || r.Evidence[0].Revision != 7 || r.Versions[""] != 7 {
		t.Errorf("%+v", r)
	}
	// The warehouse that has no name is the default one.
	n.policies(t, "prod", nobody, 9)
	for _, warehouse := range []string{"prod", ""} {
		if r := ask("g", warehouse); r.Allowed || !slices.Equal(r.Policies, []string{"warehouse/prod/no"}) || r.Versions["prod"] != 9 {
			t.Errorf("%q: %+v", warehouse, r)
		}
	}
	if r := ask("g", "test"); !r.Allowed {
		t.Errorf("another warehouse: %+v", r)
	}
	n.policies(t, "prod", "", 11)
	if r := ask("g", "prod"); !r.Allowed {
		t.Errorf("an empty set: %+v", r)
	}
}

// Policies that can't be used allow nothing, and don't stop the node.
func TestPoliciesThatCantBeRead(t *testing.T) {
	t.Parallel()
	for _, scope := range []string{"", "prod"} {
		for name, spoil := range map[string]func(n *node){
			"no policies": func(n *node) { n.policies(t, scope, "permit (", 3) },
			"no text":     func(n *node) { n.put(t, state.PolicySetKey(scope), 3, &state.PolicySet{Version: 3}) },
		} {
			n := &node{}
			spoil(n)
			j := newJudge(t, n, n)
			for range 2 {
				r, err := j.Authorize(t.Context(), load("admin", "prod"), true)
				if err != nil || r.Allowed || len(r.Failures) != 1 {
					t.Errorf("%s of %q: %+v %v", name, scope, r, err)
				}
			}
			f, _, err := j.Filter(t.Context(), load("admin", "prod"), authz.KindTable)
			if err != nil || f.Allows("t") {
				t.Errorf("%s of %q: the filter lets through, or %v", name, scope, err)
			}
			n.policies(t, scope, `permit (principal, action, resource);`, 5)
			if r, err := j.Authorize(t.Context(), load("admin", "prod"), true); err != nil || !r.Allowed {
				t.Errorf("mended: %+v %v", r, err)
			}
		}
	}
}

// A denial for good is not made on a state that may be behind.
func TestADenialIsOfTheCurrentState(t *testing.T) {
	t.Parallel()
	local, current := &node{}, &node{}
	local.policies(t, "", nobody, 3)
	current.policies(t, "", onlyG, 5)
	j := newJudge(t, local, current)
	if r, err := j.Authorize(t.Context(), load("g", "prod"), true); err != nil || !r.Allowed || r.Evidence[0].Revision != 5 {
		t.Errorf("given on another node: %+v %v", r, err)
	}
	if r, err := j.Authorize(t.Context(), load("g", "prod"), false); err != nil || r.Allowed {
		t.Errorf("by the past, as asked for: %+v %v", r, err)
	}
	// Still by the old one, which did not go away with it.
	if r, err := j.Authorize(t.Context(), load("h", "prod"), true); err != nil || r.Allowed || r.Evidence[0].Revision != 5 {
		t.Errorf("%+v %v", r, err)
	}
	asks := load("h", "prod")
	asks.Principal.Evidence = []authz.Evidence{{Key: []byte("\x18key"), Revision: 2}}
	if _, err := j.Authorize(t.Context(), asks, true); !errors.Is(err, authn.ErrChanged) {
		t.Errorf("who asks has changed: %v", err)
	}
	current.err = errors.New("no leader")
	if r, err := j.Authorize(t.Context(), load("h", "prod"), true); !errors.Is(err, authn.ErrUnavailable) || r.Allowed {
		t.Errorf("without a leader: %+v %v", r, err)
	}
	local.err = errors.New("closed")
	if _, err := j.Authorize(t.Context(), load("h", "prod"), true); !errors.Is(err, authn.ErrUnavailable) {
		t.Errorf("without a state: %v", err)
	}
	if _, _, err := j.Filter(t.Context(), load("h", "prod"), authz.KindTable); !errors.Is(err, authn.ErrUnavailable) {
		t.Errorf("without a state: %v", err)
	}
}

// An allowance rests on the policies that it was made by, and on that there were
// none.
func TestRecheck(t *testing.T) {
	t.Parallel()
	n := &node{}
	j := newJudge(t, n, n)
	ruling, err := j.Authorize(t.Context(), load("admin", "prod"), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Recheck(t.Context(), ruling.Evidence); err != nil {
		t.Errorf("nothing changed: %v", err)
	}
	n.policies(t, "prod", "", 4)
	if err := j.Recheck(t.Context(), ruling.Evidence); !errors.Is(err, authn.ErrChanged) {
		t.Errorf("there are some now: %v", err)
	}
	if ruling, err = j.Authorize(t.Context(), load("admin", "prod"), true); err != nil {
		t.Fatal(err)
	}
	if err := j.Recheck(t.Context(), ruling.Evidence); err != nil {
		t.Errorf("nothing changed: %v", err)
	}
	n.policies(t, "prod", "", 6)
	if err := j.Recheck(t.Context(), ruling.Evidence); !errors.Is(err, authn.ErrChanged) {
		t.Errorf("others now: %v", err)
	}
	delete(n.rows, string(state.PolicySetKey("prod")))
	if err := j.Recheck(t.Context(), ruling.Evidence); !errors.Is(err, authn.ErrChanged) {
		t.Errorf("none any more: %v", err)
	}
	n.err = errors.New("closed")
	if err := j.Recheck(t.Context(), ruling.Evidence); !errors.Is(err, authn.ErrUnavailable) {
		t.Errorf("without a state: %v", err)
	}
	if err := j.Recheck(t.Context(), nil); err != nil {
		t.Errorf("of nothing: %v", err)
	}
}

// What a denial says is there is what the rights let see.
func TestWhatADenialSaysIsMissing(t *testing.T) {
	t.Parallel()
	const text = `
		permit (principal == Floeberg::User::"u", action == Floeberg::Action::"GetConfig", resource == Floeberg::Warehouse::"prod");
		permit (principal == Floeberg::User::"u", action in [Floeberg::Action::"LoadNamespace", Floeberg::Action::"LoadTable", Floeberg::Action::"LoadView"], resource in Floeberg::Namespace::"prod/seen");`
	n := &node{}
	n.policies(t, "", text, 1)
	j := newJudge(t, n, n)
	at := func(kind authz.Kind, warehouse string, path ...string) authz.Resource {
		r := authz.Resource{Kind: kind, Warehouse: warehouse}
		if kind == authz.KindTable || kind == authz.KindView {
			r.Name, path = path[len(path)-1], path[:len(path)-1]
		}
		r.Namespace = path
		return r
	}
	for _, tc := range []struct {
		action authz.Action
		on     authz.Resource
		want   string
	}{
		{"ManageCluster", at(authz.KindCluster, ""), ""},
		{"ManagePolicies", at(authz.KindPolicySet, ""), ""},
		{"ManagePolicies", at(authz.KindPolicySet, "prod"), ""},
		{"ManagePolicies", at(authz.KindPolicySet, "test"), "warehouse test"},
		{"ManageWarehouse", at(authz.KindWarehouse, "prod"), ""},
		{"ManageWarehouse", at(authz.KindWarehouse, ""), ""},
		{"ManageWarehouse", at(authz.KindWarehouse, "test"), "warehouse test"},
		{"CreateTable", at(authz.KindNamespace, "prod", "seen"), ""},
		{"CreateTable", at(authz.KindNamespace, "prod", "seen", "below"), ""},
		{"CreateTable", at(authz.KindNamespace, "prod", "hidden"), "namespace hidden"},
		{"CreateTable", at(authz.KindNamespace, "test", "seen"), "warehouse test"},
		{"DropTable", at(authz.KindTable, "prod", "seen", "t"), ""},
		{"DropTable", at(authz.KindTable, "prod", "hidden", "t"), "table hidden.t"},
		{"DropTable", at(authz.KindTable, "test", "seen", "t"), "warehouse test"},
		{"DropView", at(authz.KindView, "prod", "hidden", "v"), "view hidden.v"},
	} {
		ruling, err := j.Authorize(t.Context(), authz.Request{Principal: authz.Principal{ID: "u"}, Action: tc.action, Resource: tc.on}, true)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if ruling.Missing != nil {
			got = ruling.Missing.String()
		}
		if ruling.Allowed || got != tc.want {
			t.Errorf("%s on %s: %q is missing, want %q", tc.action, tc.on, got, tc.want)
		}
	}
}

// The first admin can mend policies, whatever they say, and do nothing else by that.
func TestBreakGlass(t *testing.T) {
	t.Parallel()
	for _, text := range []string{nobody, "permit ("} {
		n := &node{}
		n.policies(t, "", text, 1)
		j := newJudge(t, n, n)
		for action, want := range map[authz.Action]bool{authz.ActionShowPolicies: true, authz.ActionManagePolicies: true, authz.ActionManageCluster: false} {
			r := authz.Request{Principal: authz.Principal{ID: "u", BreakGlass: true}, Action: action, Resource: authz.Resource{Kind: authz.KindPolicySet}}
			if ruling, err := j.Authorize(t.Context(), r, true); err != nil || ruling.Allowed != want {
				t.Errorf("%s: %+v %v", action, ruling, err)
			}
		}
		r := load("admin", "prod")
		r.Principal.BreakGlass = true
		if ruling, err := j.Authorize(t.Context(), r, true); err != nil || ruling.Allowed {
			t.Errorf("data: %+v %v", ruling, err)
		}
	}
}

func TestNewWantsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := judge.New(judge.Options{}); err == nil || !strings.Contains(err.Error(), "required") {
		t.Errorf("%v", err)
	}
}
