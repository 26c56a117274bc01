package policy

import (
	"context"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Holder is the principal that holds an API key, by its id.
func (p *Policies) Holder(ctx context.Context, read catalog.Read, id string) (authz.Principal, error) {
	v, err := p.log.View(ctx, read)
	if err != nil {
		return authz.Principal{}, err
	}
	defer v.Close()
	var found *state.APIKey
	var failed error
	err = v.Scan(state.SpaceRange(state.SpaceAPIKey), func(_ []byte, value state.Value) bool {
		rec := &state.APIKey{}
		if failed = state.Decode(value, rec); failed == nil && rec.GetId() == id {
			found = rec
		}
		return failed == nil && found == nil
	})
	switch {
	case err != nil:
		return authz.Principal{}, catalog.Broken(err)
	case failed != nil:
		return authz.Principal{}, catalog.Broken(failed)
	case found == nil:
		return authz.Principal{}, catalog.Refuse(catalog.KindInvalid, "Nobody holds the API key %q: say which groups the principal is in", catalog.Brief(id))
	}
	return authz.Principal{ID: id, Name: found.GetName(), Tenant: found.GetTenant(), Groups: found.GetGroups(), Proof: authz.ProofKey}, nil
}
