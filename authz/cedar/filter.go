package cedar

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/floeberg/floeberg/authz"
)

// Filter decides about many resources of one kind that are directly in one place,
// as an entry of a listing is. What is alike for all of them is decided once. It
// is not safe for concurrent use.
type Filter struct {
	question *question // about the place
	in       child
	// denied tells that a policy forbids all of them.
	denied bool
	// allowed tells that a policy permits all of them.
	allowed bool
	// varying are the policies that look at the resource itself.
	varying some
}

// Filter makes a filter for the kind of resources in the request's resource, which
// is the place: a namespace, or a warehouse for its namespaces.
func (s Sets) Filter(r authz.Request, kind authz.Kind) *Filter {
	place := r.Resource
	entry := authz.Resource{Kind: kind, Warehouse: place.Warehouse, Namespace: place.Namespace, Name: "?"}
	if kind == authz.KindNamespace {
		entry.Namespace, entry.Name = append(slices.Clip(place.Namespace), "?"), ""
	}
	q, err := s.ask(&r, entry)
	if err != nil {
		return &Filter{denied: true}
	}
	f := &Filter{question: q, in: child{kind: q.request.Resource.Type}}
	f.in.parent, _ = cutID(string(q.request.Resource.ID))
	var alike some
	for _, p := range q.candidates(parentOf(q.request.Resource)) {
		if p.ofResource {
			f.varying = append(f.varying, p)
		} else {
			alike = append(alike, p)
		}
	}
	d := q.decide(alike)
	f.allowed = d.Allowed
	f.denied = !d.Allowed && len(d.Policies) > 0
	return f
}

// Allows decides about the resource of a name.
func (f *Filter) Allows(name string) bool {
	if f.denied {
		return false
	}
	q := f.question
	uid := types.NewEntityUID(f.in.kind, types.String(f.in.parent+"/"+EscapeName(name)))
	of := f.varying[:len(f.varying):len(f.varying)]
	for i, set := range q.sets {
		if set == nil {
			continue
		}
		if n, ok := set.index.resources[uid]; ok {
			of = set.index.candidates(of, q.lines[i], []uint32{n}, q.action)
		}
	}
	if len(of) == 0 {
		return f.allowed
	}
	q.entities.move(uid)
	q.request.Resource = uid
	d := q.decide(of)
	return d.Allowed || f.allowed && len(d.Policies) == 0
}

// Names are the only names that the filter can allow, in byte order; ok is false
// where it can allow others too. So a listing need not look at what a caller will
// not see.
func (f *Filter) Names() (names []string, ok bool) {
	if f.denied {
		return nil, true
	}
	if f.allowed {
		return nil, false
	}
	for _, p := range f.varying {
		if !p.Forbid {
			return nil, false
		}
	}
	for _, set := range f.question.sets {
		if set != nil {
			names = append(names, set.index.children[f.in]...)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(name string) bool { return !f.Allows(name) }), true
}
