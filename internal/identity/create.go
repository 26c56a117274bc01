package identity

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// NewKey is a request for a new key.
type NewKey struct {
	Name   string
	Groups []string
	Tenant string
	// Lifetime is how long it is honoured; 0 is for ever.
	Lifetime time.Duration
	// Force takes names of groups that look like a slip.
	Force bool
}

// Create makes a key of a new principal.
//
// Under an Idempotency-Key it is made once. Its secret is kept nowhere, so who asks
// again, the answer being lost, is told which key it was and that its secret is gone.
func (k *Keys) Create(ctx context.Context, ch catalog.Change, by authz.Principal, q NewKey) (*Minted, error) {
	groups, warnings, err := checkNew(q)
	if err != nil {
		return nil, err
	}
	if err := mayGive(by, groups, q.Tenant); err != nil {
		return nil, err
	}
	secret := k.mint()
	made := &Minted{Secret: secret, Warnings: warnings}
	_, err = k.log.Transact(ctx, ch, state.KeysChangedKey(), func(_ context.Context, v *state.View) (*catalog.Plan, error) {
		if err := room(v); err != nil {
			return nil, err
		}
		now := max(k.log.NowMs(), v.TimeMs)
		rec := &state.APIKey{
			Id: authn.KeyID(secret), Name: q.Name, Groups: groups, Tenant: q.Tenant, CreatedMs: now, ExpiresMs: endOf(now, q.Lifetime),
		}
		p := &catalog.Plan{Outcome: gone(rec)}
		if err := add(v, p, secret, rec); err != nil {
			return nil, err
		}
		tell(p, "key.create", rec)
		p.Applied = func(res command.Result) { made.Key = show(rec, 0, now, res.Index) }
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// add adds a new key to a plan.
func add(v *state.View, p *catalog.Plan, secret string, rec *state.APIKey) error {
	hash := authn.HashKey(secret)
	p.Preconditions = append(p.Preconditions, command.KeyAbsent(state.APIKeyKey(hash)), command.KeyAbsent(state.KeyIDKey(rec.Id)))
	return put(v, p, hash, rec)
}

// gone is what a repeat of the request that made a key gets.
func gone(rec *state.APIKey) *state.Answer {
	return &state.Answer{Outcome: &state.Answer_Failure{Failure: &state.Failure{
		Kind: string(catalog.KindAlreadyExists),
		Message: fmt.Sprintf("API key %s was made by an earlier request under this Idempotency-Key, and its secret was in the answer to that one only: "+
			"rotate the key to get a new secret, or revoke it", rec.Id),
	}}}
}

// room refuses a key that would be one too many.
func room(v *state.View) error {
	n := 0
	err := v.Scan(state.KeyIDs(), func([]byte, state.Value) bool {
		n++
		return n < maxKeys
	})
	if err != nil {
		return catalog.Broken(err)
	}
	if n >= maxKeys {
		return catalog.Refuse(catalog.KindKeyRefused,
			"Refused: there are %d API keys, and no more are possible; ended ones are forgotten after %d days", n, int(state.APIKeyKept/(24*time.Hour)))
	}
	return nil
}

func endOf(nowMs uint64, lifetime time.Duration) uint64 {
	if lifetime == 0 {
		return 0
	}
	return nowMs + uint64(lifetime.Milliseconds())
}

// checkNew checks a request, and gives its groups, each once.
func checkNew(q NewKey) (groups, warnings []string, err error) {
	if err := checkName(q.Name); err != nil {
		return nil, nil, err
	}
	if q.Tenant != "" {
		if err := checkWord("tenant", q.Tenant); err != nil {
			return nil, nil, err
		}
	}
	if err := checkLifetime(q.Lifetime); err != nil {
		return nil, nil, err
	}
	if len(q.Groups) == 0 || len(q.Groups) > maxGroups {
		return nil, nil, invalid("groups must name 1 to %d groups, not %d", maxGroups, len(q.Groups))
	}
	for _, group := range q.Groups {
		if slices.Contains(groups, group) {
			continue
		}
		if err := checkWord("group", group); err != nil {
			return nil, nil, err
		}
		if slices.Contains(builtIn, group) {
			groups = append(groups, group)
			continue
		}
		if meant, slip := meantBy(group); slip && !q.Force {
			return nil, nil, invalid("group %q gives no right by itself, and looks like a slip of %q; repeat it with force where it is meant", group, meant)
		}
		groups = append(groups, group)
		warnings = append(warnings, fmt.Sprintf("group %s is none of those that exist from the start: it has the rights that policies give it and no others", group))
	}
	return groups, warnings, nil
}
