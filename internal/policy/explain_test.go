package policy_test

import (
	"testing"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/policy"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.put(policy.Put{Text: readersToo})
	o.put(policy.Put{Scope: "other", Text: `@id("secret")
forbid (principal, action, resource in Floeberg::Namespace::"other/secret");`})
	explain := func(warehouse, namespace string) *policy.Explanation {
		e, err := o.Explain(t.Context(), catalog.Read{}, authz.Request{
			Principal: authz.Principal{ID: "r", Groups: []string{"reader"}}, Action: authz.ActionLoadTable,
			Resource: authz.Resource{Kind: authz.KindTable, Warehouse: warehouse, Namespace: []string{namespace}, Name: "t"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := explain("other", "open")
	if !e.Allowed || len(e.Policies) != 1 || e.Policies[0].String() != "cluster/reader" || *e.ClusterVersion != 1 || *e.WarehouseVersion != 1 || e.Total != 3 || e.Index == 0 {
		t.Errorf("got %+v", e)
	}
	e = explain("other", "secret")
	if e.Allowed || len(e.Policies) != 1 || e.Policies[0].String() != "warehouse/other/secret" || !e.Policies[0].Forbid {
		t.Errorf("got %+v", e)
	}
	if e = explain("default", "secret"); !e.Allowed || *e.WarehouseVersion != 0 {
		t.Errorf("got %+v", e)
	}
	_, err := o.Explain(t.Context(), catalog.Read{}, authz.Request{
		Action: authz.ActionLoadTable, Resource: authz.Resource{Kind: authz.KindWarehouse, Warehouse: "nowhere"},
	})
	refused(t, err, catalog.KindNoSuchWarehouse, "nowhere")
	_, err = o.Explain(t.Context(), catalog.Read{}, authz.Request{Action: "Fly"})
	refused(t, err, catalog.KindInvalid, "Fly")
}
