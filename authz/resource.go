package authz

import "strings"

// Kind is the type of a resource.
type Kind string

// The kinds.
const (
	KindCluster   Kind = "Cluster"
	KindWarehouse Kind = "Warehouse"
	KindNamespace Kind = "Namespace"
	KindTable     Kind = "Table"
	KindView      Kind = "View"
	// KindPolicySet is the policies of the resource's warehouse, or of the whole
	// cluster where it has none.
	KindPolicySet Kind = "PolicySet"
)

// Resource is what an action is done to. Names are kept as lists, never joined:
// a level named "a.b" is not the levels "a" and "b".
type Resource struct {
	Kind      Kind
	Warehouse string
	Namespace []string
	Name      string
}

// String is the resource as messages show it.
func (r Resource) String() string {
	switch r.Kind {
	case KindWarehouse:
		return "warehouse " + r.Warehouse
	case KindNamespace:
		return "namespace " + strings.Join(r.Namespace, ".")
	case KindTable:
		return "table " + strings.Join(r.Namespace, ".") + "." + r.Name
	case KindPolicySet:
		if r.Warehouse == "" {
			return "the policies of the cluster"
		}
		return "the policies of warehouse " + r.Warehouse
	case KindView:
		return "view " + strings.Join(r.Namespace, ".") + "." + r.Name
	}
	return "the cluster"
}
