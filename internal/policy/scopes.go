package policy

import (
	"context"

	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Sets is a page of policy sets, each by its version in force, without its text: the
// cluster's first, then those of the warehouses that were ever given any.
type Sets struct {
	Sets  []*Version
	Next  string // "" on the last page
	Index uint64
}

// Sets returns the policy sets.
func (p *Policies) Sets(ctx context.Context, read catalog.Read, page catalog.Page) (*Sets, error) {
	v, err := p.log.View(ctx, read)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	out := &Sets{Sets: []*Version{}, Index: v.Index}
	add := func(h *head) error {
		rec, err := h.at(v, h.GetVersion())
		if err != nil {
			return err
		}
		rec.Text = ""
		out.Sets = append(out.Sets, show(h.scope, rec, true, v.Index))
		return nil
	}
	cluster, err := findHead(v, "")
	if err != nil {
		return nil, err
	}
	if cluster.revision == 0 && page.Token == "" {
		if err := add(cluster); err != nil {
			return nil, err
		}
	}
	var heads []*head
	out.Next, err = catalog.EachOf(v, state.SpaceRange(state.SpacePolicySet), page, func(key []byte, value state.Value) (func(), error) {
		scope, err := state.PolicyScope(key)
		if err != nil {
			return nil, err
		}
		h := &head{scope: scope, PolicySet: &state.PolicySet{}, revision: value.Revision}
		if err := state.Decode(value, h.PolicySet); err != nil {
			return nil, err
		}
		return func() { heads = append(heads, h) }, nil
	})
	if err != nil {
		return nil, err
	}
	for _, h := range heads {
		if err := add(h); err != nil {
			return nil, err
		}
	}
	return out, nil
}
