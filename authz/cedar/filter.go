package cedar

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/fsm/state"
)

// Filter decides about many resources of one kind that are directly in one place,
// as an entry of a listing is. What is alike for all of them is decided once. It
// is not safe for concurrent use.
type Filter struct {
	question *question // about an entry
	in       child
	// denied tells that a policy forbids all of them.
	denied bool
	// allowed tells that a policy permits all of them.
	allowed bool
	// varying are the policies that do not treat all of them alike.
	varying []varying
	// heads are the names that the heads of each set's policies have of them.
	heads [2][]string
	asked some // room for the policies that the library is asked about
}

// varying is a policy whose conditions look at the resource, and what they come to.
type varying struct {
	*policy
	nameTest
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
	rest := q.reducer(f.in)
	for _, p := range q.candidates(parentOf(q.request.Resource)) {
		if p.ofResource {
			f.add(varying{p, rest.reduce(p)})
		} else {
			alike = append(alike, p)
		}
	}
	d := q.decide(alike)
	f.allowed = f.allowed || d.Allowed
	f.denied = f.denied || !d.Allowed && len(d.Policies) > 0
	for i, set := range q.sets {
		if set != nil {
			f.heads[i] = set.index.children[f.in]
		}
	}
	return f
}

// add takes a policy whose conditions look at the resource.
func (f *Filter) add(v varying) {
	holds, alike := v.constant()
	switch {
	case !alike:
		f.varying = append(f.varying, v)
	case holds && v.Forbid:
		f.denied = true
	case holds:
		f.allowed = true
	}
}

// Allows decides about the resource of a name.
func (f *Filter) Allows(name string) bool {
	if f.denied {
		return false
	}
	allowed := f.allowed
	f.asked = f.asked[:0]
	for _, v := range f.varying {
		switch {
		case !v.of(name):
		case !v.exact:
			f.asked = append(f.asked, v.policy)
		case v.Forbid:
			return false
		default:
			allowed = true
		}
	}
	q := f.question
	var uid types.EntityUID
	for i, names := range f.heads {
		if _, named := slices.BinarySearch(names, name); named {
			uid = f.in.entry(name)
			f.asked = q.sets[i].index.candidates(f.asked, q.lines[i], []uint32{q.sets[i].index.resources[uid]}, q.action)
		}
	}
	if len(f.asked) == 0 {
		return allowed
	}
	if uid.Type == "" {
		uid = f.in.entry(name)
	}
	q.entities.move(uid)
	q.request.Resource = uid
	d := q.decide(f.asked)
	return d.Allowed || allowed && len(d.Policies) == 0
}

// entry is the entity of a name.
func (c child) entry(name string) types.EntityUID {
	return types.NewEntityUID(c.kind, types.String(c.parent+"/"+EscapeName(name)))
}

// Ranges are where all names are that the filter can allow, in byte order and apart
// from each other. So a listing need not look at what a caller will not see.
func (f *Filter) Ranges() []state.NameRange {
	switch {
	case f.denied:
		return nil
	case f.allowed:
		return everyName
	}
	var out []state.NameRange
	for _, v := range f.varying {
		if !v.Forbid {
			out = append(out, v.ranges...)
		}
	}
	for _, names := range f.heads {
		for _, name := range names {
			out = append(out, state.OneName(name))
		}
	}
	return merged(out)
}
