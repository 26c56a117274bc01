// Package authz decides who may do what: one call per request, deny by default.
package authz

// Principal is who asks.
type Principal struct {
	// ID is unique in the cluster and never given to anybody else.
	ID string
	// Name is what people call it.
	Name string
	// Tenant is who it belongs to; "" is nobody in particular.
	Tenant string
	// Groups are what its rights are given to.
	Groups []string
	// Evidence is what the answer "this is who asks" rests on. Whoever acts for
	// the principal can prove later that it still holds.
	Evidence []Evidence
}

// Evidence is a record of the replicated state and the revision at which it was
// looked at.
type Evidence struct {
	Key      []byte
	Revision uint64
}
