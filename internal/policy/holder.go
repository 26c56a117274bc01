package policy

import (
	"context"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Holder is the principal of an id, as one of the API keys that it holds has it. Who
// belongs to a tenant finds no other tenant's.
func (p *Policies) Holder(ctx context.Context, read catalog.Read, by authz.Principal, id string) (authz.Principal, error) {
	v, err := p.log.View(ctx, read)
	if err != nil {
		return authz.Principal{}, err
	}
	defer v.Close()
	var found *state.APIKey
	var failed error
	err = v.Scan(state.SpaceRange(state.SpaceAPIKey), func(_ []byte, value state.Value) bool {
		rec := &state.APIKey{}
		if failed = state.Decode(value, rec); failed == nil && by.Knows(rec.GetTenant()) && (rec.PrincipalID() == id || rec.GetId() == id) {
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
		return authz.Principal{}, catalog.Refuse(catalog.KindInvalid, "No API key is held by %q: say which groups it is in", catalog.Brief(id))
	}
	return authz.Principal{
		ID: found.PrincipalID(), Name: found.GetName(), Tenant: found.GetTenant(), Groups: found.GetGroups(),
		Proof: authz.ProofKey, Type: authz.TypeService,
	}, nil
}
