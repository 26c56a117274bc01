package policy_test

import (
	"testing"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/policy"
)

// What would change is told, and nothing is changed.
func TestReplay(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.put(policy.Put{Text: readersToo})
	load := func(group, warehouse string) authz.Request {
		return authz.Request{
			Principal: authz.Principal{ID: "someone", Groups: []string{group}}, Action: authz.ActionLoadTable,
			Resource: authz.Resource{Kind: authz.KindTable, Warehouse: warehouse, Namespace: []string{"a"}, Name: "t"},
		}
	}
	past := []authz.Request{
		load("admin", "default"), load("reader", "default"), load("reader", "other"), load("writer", "other"), load("reader", "gone"),
		{Principal: authz.Principal{ID: "someone", Groups: []string{"reader"}}, Action: authz.ActionShowCluster, Resource: authz.Resource{Kind: authz.KindCluster}},
	}
	replay := func(scope, text string) *policy.Replay {
		t.Helper()
		r, err := o.Replay(t.Context(), catalog.Read{}, scope, text, past)
		if err != nil {
			t.Fatal(err)
		}
		if r.Requests != len(past) || r.More != 0 || r.Index == 0 {
			t.Errorf("got %+v", r)
		}
		return r
	}
	changed := func(r *policy.Replay) (out []int) {
		for _, c := range r.Changed {
			if c.Now.Allowed == c.Then.Allowed {
				t.Errorf("got %+v", c)
			}
			out = append(out, c.Number)
		}
		return out
	}
	same(t, "readers are taken away", []int{1, 2, 4}, changed(replay("", adminsMay)))
	same(t, "the same again", nil, changed(replay("", readersToo)))
	same(t, "a warehouse is closed", []int{2}, changed(replay("other", `forbid (principal, action, resource);`)))
	r := replay("other", `@id("all") permit (principal, action == Floeberg::Action::"LoadTable", resource);`)
	same(t, "a warehouse is opened", []int{3}, changed(r))
	if d := r.Changed[0]; d.Now.Allowed || len(d.Now.Policies) != 0 || len(d.Then.Policies) != 1 || d.Then.Policies[0].Policy != "all" {
		t.Errorf("got %+v", d)
	}
	if v := o.inForce("other"); v.Number != 0 {
		t.Errorf("%+v was put", v)
	}
	_, err := o.Replay(t.Context(), catalog.Read{}, "", "permit", past)
	refused(t, err, catalog.KindInvalid, "line 1")
	_, err = o.Replay(t.Context(), catalog.Read{}, "nowhere", "", past)
	refused(t, err, catalog.KindNoSuchWarehouse, "nowhere")

	many := make([]authz.Request, 1200)
	for i := range many {
		many[i] = load("reader", "default")
	}
	if r, err := o.Replay(t.Context(), catalog.Read{}, "", adminsMay, many); err != nil || len(r.Changed) != 1000 || r.More != 200 {
		t.Errorf("%d changed and %d more, %v", len(r.Changed), r.More, err)
	}
}
