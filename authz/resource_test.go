package authz_test

import (
	"testing"

	"github.com/floeberg/floeberg/authz"
)

func TestResourceText(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]authz.Resource{
		"the cluster":                 {Kind: authz.KindCluster},
		"warehouse w":                 {Kind: authz.KindWarehouse, Warehouse: "w"},
		"namespace a.b":               {Kind: authz.KindNamespace, Warehouse: "w", Namespace: []string{"a", "b"}},
		"table a.b.t":                 {Kind: authz.KindTable, Namespace: []string{"a", "b"}, Name: "t"},
		"table a.b.c.t.u":             {Kind: authz.KindTable, Namespace: []string{"a.b", "c"}, Name: "t.u"},
		"the policies of the cluster": {Kind: authz.KindPolicySet},
		"the policies of warehouse w": {Kind: authz.KindPolicySet, Warehouse: "w"},
	} {
		if got := r.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
