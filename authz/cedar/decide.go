package cedar

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"

	cedargo "github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/floeberg/floeberg/authz"
)

// Ref names a policy.
type Ref struct {
	// Scope is the set that it is in: a warehouse by its name, "" is the cluster.
	Scope string
	// Policy is its @id, or "policy-N" for the N-th of its set.
	Policy string
	// Line is where it begins in the set's text.
	Line int
	// Forbid tells that it takes rights away instead of giving them.
	Forbid bool
}

// String is the reference as messages show it.
func (r Ref) String() string {
	if r.Scope == "" {
		return "cluster/" + r.Policy
	}
	return "warehouse/" + r.Scope + "/" + r.Policy
}

func (r Ref) compare(other Ref) int {
	return cmp.Or(cmp.Compare(r.Scope, other.Scope), cmp.Compare(r.Line, other.Line), cmp.Compare(r.Policy, other.Policy))
}

// Failure is a policy that could not be evaluated. Where it forbids, it counts as
// if it did; where it permits, it gives nothing.
type Failure struct {
	Ref
	Message string
}

// Decision is what policies say of a request.
type Decision struct {
	Allowed bool
	// Policies are those that decided: of a denial those that forbid, and none
	// where none permits.
	Policies []Ref
	Failures []Failure
	// Restrictions are what is taken away from the right to load a table, in the order
	// of the policies.
	Restrictions []Restricting
}

// Sets are the policies that decide about one request: those of the cluster, and
// those of the warehouse that the resource is in. What one of the sets forbids the
// other can't permit.
type Sets struct {
	Cluster *Set
	// Warehouse is nil where the warehouse has none, or the request is about none.
	Warehouse *Set
}

// ErrMalformed is returned when a request is about something that has no name.
var ErrMalformed = errors.New("cedar: the resource has no name")

// question is a request as the library wants it.
type question struct {
	request  types.Request
	entities entities
	action   int
	lines    [2][]uint32
	sets     [2]*Set
}

// Decide decides about a request. What is no action, or has no name, is denied.
func (s Sets) Decide(r authz.Request) Decision {
	q, err := s.ask(&r, r.Resource)
	if err != nil {
		return Decision{}
	}
	return q.decide(q.candidates(q.request.Resource))
}

// ask makes the question about a resource.
func (s Sets) ask(r *authz.Request, resource authz.Resource) (*question, error) {
	n, ok := words().numbers[r.Action]
	if !ok || !named(resource) {
		return nil, ErrMalformed
	}
	q := &question{
		action: n,
		request: types.Request{
			Principal: types.NewEntityUID(typeUser, types.String(r.Principal.ID)),
			Action:    actionUID(r.Action),
			Resource:  resourceUID(resource),
			Context:   contextRecord(r),
		},
	}
	q.entities = entities{principal: &r.Principal, user: q.request.Principal, resource: q.request.Resource}
	q.sets[0] = s.Cluster
	if s.Warehouse != nil && s.Warehouse.scope == resource.Warehouse && consulted(r.Action, resource) {
		q.sets[1] = s.Warehouse
	}
	for i, set := range q.sets {
		if set != nil {
			q.lines[i] = set.index.lines(nil, &r.Principal)
		}
	}
	return q, nil
}

// named tells whether a resource has all the names that its kind has.
func named(r authz.Resource) bool {
	switch r.Kind {
	case authz.KindCluster, authz.KindPolicySet:
		return true
	case authz.KindWarehouse:
		return r.Warehouse != ""
	case authz.KindNamespace:
		return r.Warehouse != "" && len(r.Namespace) > 0
	case authz.KindTable, authz.KindView:
		return r.Warehouse != "" && len(r.Namespace) > 0 && r.Name != ""
	}
	return false
}

// consulted tells whether a warehouse's own policies are asked. They are about
// what is in the warehouse. What the warehouse itself is (where its files are, for
// one) and who may change its policies is not theirs to say: else whoever may
// write them could reach other warehouses' files, or lock everybody out for good.
func consulted(a authz.Action, r authz.Resource) bool {
	switch r.Kind {
	case authz.KindNamespace, authz.KindTable, authz.KindView:
		return true
	case authz.KindWarehouse:
		return a.Class() != authz.ClassManage
	}
	return false
}

func contextRecord(r *authz.Request) types.Record {
	referring := make([]types.Value, len(r.Context.ReferencedBy))
	for i, view := range r.Context.ReferencedBy {
		referring[i] = resourceUID(view)
	}
	m := types.RecordMap{
		"time":           types.NewDatetime(r.Context.Time),
		"authentication": types.String(cmp.Or(r.Principal.Proof, authz.ProofNone)),
		"access":         types.String(cmp.Or(r.Context.Access, authz.AccessNone)),
		"referenced_by":  types.NewSet(referring...),
	}
	if addr := r.Context.Source.Unmap().WithZone(""); addr.IsValid() {
		// Where it is not known there is none: a policy that looks at it fails, and a
		// policy that fails does not give a right.
		if ip, err := types.ParseIPAddr(addr.String()); err == nil {
			m["source_ip"] = ip
		}
	}
	return types.NewRecord(m)
}

// candidates are the policies whose heads let a resource through.
func (q *question) candidates(resource types.EntityUID) []*policy {
	var out []*policy
	var columns [32]uint32
	for i, set := range q.sets {
		if set != nil {
			out = set.index.candidates(out, q.lines[i], set.index.columns(columns[:0], resource), q.action)
		}
	}
	return out
}

// some are policies as the library wants them.
type some []*policy

// All implements cedargo.PolicyIterator.
func (s some) All() iter.Seq2[cedargo.PolicyID, *cedargo.Policy] {
	return func(yield func(cedargo.PolicyID, *cedargo.Policy) bool) {
		for _, p := range s {
			if !yield(p.key, p.compiled) {
				return
			}
		}
	}
}

func (s some) named(key types.PolicyID) *policy {
	for _, p := range s {
		if p.key == key {
			return p
		}
	}
	panic(fmt.Sprintf("a policy %q decided that was not asked", key)) // a defect of the library
}

// decide evaluates policies. The library leaves out those that fail: one that was
// to forbid must not be left out.
func (q *question) decide(of some) Decision {
	allow, why := cedargo.Authorize(of, &q.entities, q.request)
	d := Decision{Allowed: bool(allow)}
	for _, reason := range why.Reasons {
		p := of.named(reason.PolicyID)
		d.Policies = append(d.Policies, p.Ref)
		d.restrict(p)
	}
	for _, failed := range why.Errors {
		p := of.named(failed.PolicyID)
		f := Failure{Ref: p.Ref, Message: failed.Message}
		d.Failures = append(d.Failures, f)
		d.restrict(p)
		if !f.Forbid {
			continue
		}
		if d.Allowed {
			d.Allowed, d.Policies = false, nil
		}
		d.Policies = append(d.Policies, f.Ref)
	}
	slices.SortFunc(d.Policies, Ref.compare)
	slices.SortFunc(d.Failures, func(a, b Failure) int { return a.compare(b.Ref) })
	if !d.Allowed || q.request.Action != loadTable() {
		d.Restrictions = nil
	}
	slices.SortFunc(d.Restrictions, func(a, b Restricting) int { return a.compare(b.Ref) })
	return d
}
