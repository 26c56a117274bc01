package policy

import (
	"context"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/cedar"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Replay is what policies would have made of requests that were decided about.
type Replay struct {
	// Requests is how many were looked at.
	Requests int
	// Changed are those that would be decided otherwise than by the policies in force,
	// in the order in which they were given: the first ones, and More is how many
	// others there are.
	Changed []Changed
	More    int
	Index   uint64
}

// Changed is a request that would be decided otherwise.
type Changed struct {
	// Number is its place among those that were given; the first is 0.
	Number int
	Now    cedar.Decision
	Then   cedar.Decision
}

// maxChanged bounds how many requests a replay tells of.
const maxChanged = 1000

// Replay judges requests by the policies in force, and by those with a text in the
// place of a scope's. It changes nothing.
func (p *Policies) Replay(ctx context.Context, read catalog.Read, scope, text string, requests []authz.Request) (*Replay, error) {
	candidate, err := p.compile(text, scope)
	if err != nil {
		return nil, err
	}
	v, _, err := p.look(ctx, read, scope)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	sets := shelf{view: v, sets: map[string]*cedar.Set{}}
	out := &Replay{Requests: len(requests), Index: v.Index}
	for i, r := range requests {
		now, err := sets.about(r.Resource)
		if err != nil {
			return nil, err
		}
		then := now
		switch {
		case scope == "":
			then.Cluster = candidate
		case scope == r.Resource.Warehouse:
			then.Warehouse = candidate
		default:
			continue // the policies of a warehouse have no say in others
		}
		one := Changed{Number: i, Now: now.Decide(r), Then: then.Decide(r)}
		switch {
		case one.Now.Allowed == one.Then.Allowed:
		case len(out.Changed) == maxChanged:
			out.More++
		default:
			out.Changed = append(out.Changed, one)
		}
	}
	return out, nil
}

// shelf is the sets in force in a state, each read once.
type shelf struct {
	view *state.View
	sets map[string]*cedar.Set
}

// about are the sets that decide about a resource. A warehouse that is gone has none.
func (s *shelf) about(r authz.Resource) (cedar.Sets, error) {
	var out cedar.Sets
	var err error
	if out.Cluster, err = s.get(""); err != nil || r.Warehouse == "" {
		return out, err
	}
	out.Warehouse, err = s.get(r.Warehouse)
	if catalog.KindOf(err) == catalog.KindNoSuchWarehouse {
		err = nil
	}
	return out, err
}

func (s *shelf) get(scope string) (*cedar.Set, error) {
	if set, ok := s.sets[scope]; ok {
		return set, nil
	}
	set, _, err := inForce(s.view, scope)
	if err != nil {
		return nil, err
	}
	s.sets[scope] = set
	return set, nil
}
