package policy

import (
	"context"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/cedar"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Explanation is what the policies say of a request, and why.
type Explanation struct {
	cedar.Explanation
	Request authz.Request
	// ClusterVersion and WarehouseVersion are those that were asked; a nil one was not.
	ClusterVersion, WarehouseVersion *uint64
	// HandedOut tells that this node hands restrictions out.
	HandedOut bool
	Index     uint64
}

// Explain tells what the policies in force say of a request and which of them
// decide. It is a question about policies: whether what it names exists does not matter.
func (p *Policies) Explain(ctx context.Context, read catalog.Read, q authz.Request) (*Explanation, error) {
	if q.Action.Class() == authz.ClassNone {
		return nil, catalog.Refuse(catalog.KindInvalid, "There is no action %q", catalog.Brief(string(q.Action)))
	}
	v, err := p.log.View(ctx, read)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	if q.Context.Time.IsZero() {
		q.Context.Time = moment(max(p.log.NowMs(), v.TimeMs))
	}
	out := &Explanation{Request: q, HandedOut: p.opts.ReadRestrictions, Index: v.Index}
	var sets cedar.Sets
	if sets.Cluster, out.ClusterVersion, err = inForce(v, ""); err != nil {
		return nil, err
	}
	if q.Resource.Warehouse != "" {
		if sets.Warehouse, out.WarehouseVersion, err = inForce(v, q.Resource.Warehouse); err != nil {
			return nil, err
		}
	}
	out.Explanation = sets.Explain(q)
	return out, nil
}

// inForce is the set that decides in a scope, as this program reads it.
func inForce(v *state.View, scope string) (*cedar.Set, *uint64, error) {
	h, err := findHead(v, scope)
	if err != nil {
		return nil, nil, err
	}
	number := h.GetVersion()
	rec, err := h.at(v, number)
	if err != nil {
		return nil, nil, err
	}
	set, err := cedar.Load(rec.GetText(), scope)
	if err != nil {
		return nil, nil, catalog.Broken(err)
	}
	return set, &number, nil
}
