package judge

import "github.com/floeberg/floeberg/authz"

// missing is what a principal is told is not there that may not do what it asks
// for: the warehouse where it may not know of that, else the resource itself; nil
// where it may see the resource. It is found by the rights alone and not by what
// there is, so that a denial says nothing of it.
func missing(r authz.Request, allowed func(authz.Request) bool) *authz.Resource {
	may := func(a authz.Action, on authz.Resource) bool {
		asked := r
		asked.Action, asked.Resource = a, on
		return allowed(asked)
	}
	if r.Resource.Warehouse == "" {
		return nil // the cluster, and its policies: everybody knows that they are there
	}
	warehouse := authz.Resource{Kind: authz.KindWarehouse, Warehouse: r.Resource.Warehouse}
	if !may(authz.ActionGetConfig, warehouse) && !may(authz.ActionShowWarehouse, warehouse) {
		return &warehouse
	}
	var see authz.Action
	switch r.Resource.Kind {
	case authz.KindNamespace:
		see = authz.ActionLoadNamespace
	case authz.KindTable:
		see = authz.ActionLoadTable
	case authz.KindView:
		see = authz.ActionLoadView
	default:
		return nil
	}
	if may(see, r.Resource) {
		return nil
	}
	return &r.Resource
}
