package identity

import (
	"context"
	"time"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Rotation is a request for a new key in the place of another.
type Rotation struct {
	// Overlap is how long the old key goes on; 0 ends it at once.
	Overlap time.Duration
	// Lifetime is how long the new key is honoured; nil is as long as the old one was
	// made for.
	Lifetime *time.Duration
	// Force does it though no admin might have a key sooner than before.
	Force bool
}

// Rotate makes a new key of a key's principal, with all that it has, and ends the old
// one after a while. What is said of repeats of Create holds here too.
func (k *Keys) Rotate(ctx context.Context, ch catalog.Change, by authz.Principal, id string, q Rotation) (*Minted, error) {
	if q.Overlap < 0 || q.Overlap > maxOverlap {
		return nil, invalid("the overlap must be 0 to %d days", int(maxOverlap/(24*time.Hour)))
	}
	if q.Lifetime != nil {
		if err := checkLifetime(*q.Lifetime); err != nil {
			return nil, err
		}
	}
	secret := k.mint()
	made := &Minted{Secret: secret}
	_, err := k.log.Transact(ctx, ch, state.KeysChangedKey(), func(_ context.Context, v *state.View) (*catalog.Plan, error) {
		f, err := find(v, by, id)
		if err != nil {
			return nil, err
		}
		now := max(k.log.NowMs(), v.TimeMs)
		if err := rotatable(by, f.rec, now); err != nil {
			return nil, err
		}
		if err := room(v); err != nil {
			return nil, err
		}
		next := successor(f.rec, secret, now, q.Lifetime)
		p := &catalog.Plan{
			Preconditions: []*command.Precondition{command.KeyUnchanged(state.APIKeyKey(f.hash), f.revision)},
			Outcome:       gone(next),
		}
		if err := keepAdmin(v, p, now, f.rec, next, q.Force); err != nil {
			return nil, err
		}
		retire(f.rec, now, q.Overlap)
		if err := put(v, p, f.hash, f.rec); err != nil {
			return nil, err
		}
		if err := add(v, p, secret, next); err != nil {
			return nil, err
		}
		tell(p, "key.rotate", f.rec)
		tell(p, "key.create", next)
		used, err := lastUsed(v, id)
		if err != nil {
			return nil, err
		}
		p.Applied = func(res command.Result) {
			old := show(f.rec, used, now, res.Index)
			made.Key, made.Replaced = show(next, 0, now, res.Index), &old
		}
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

func rotatable(by authz.Principal, rec *state.APIKey, nowMs uint64) error {
	if err := mayGive(by, rec.Groups, rec.Tenant); err != nil {
		return err
	}
	switch {
	case !live(rec, nowMs):
		return catalog.Refuse(catalog.KindKeyRefused, "Refused: %s has ended at %s; make a new key", rec.Id, moment(rec.EndedMs()).Format(time.RFC3339))
	case rec.RotatedMs != 0:
		return catalog.Refuse(catalog.KindKeyRefused, "Refused: %s was rotated at %s; rotate the key that is in its place", rec.Id, moment(rec.RotatedMs).Format(time.RFC3339))
	}
	return nil
}

// successor is the key in another one's place.
func successor(rec *state.APIKey, secret string, nowMs uint64, lifetime *time.Duration) *state.APIKey {
	next := &state.APIKey{
		Id: authn.KeyID(secret), Principal: rec.PrincipalID(), Name: rec.Name, Groups: rec.Groups, Tenant: rec.Tenant, CreatedMs: nowMs, BreakGlass: rec.BreakGlass,
	}
	switch {
	case lifetime != nil:
		next.ExpiresMs = endOf(nowMs, *lifetime)
	case rec.ExpiresMs != 0:
		next.ExpiresMs = nowMs + rec.ExpiresMs - min(rec.CreatedMs, rec.ExpiresMs)
	}
	return next
}

// retire ends a key after a while, if it does not end before.
func retire(rec *state.APIKey, nowMs uint64, overlap time.Duration) {
	rec.RotatedMs = nowMs
	if overlap == 0 {
		rec.RevokedMs = nowMs
		return
	}
	if end := endOf(nowMs, overlap); rec.ExpiresMs == 0 || end < rec.ExpiresMs {
		rec.ExpiresMs = end
	}
}
