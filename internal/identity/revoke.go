package identity

import (
	"context"
	"slices"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Revoke takes a key away: once it is acknowledged the key is honoured by no node any
// more. One that has ended already stays as it is. It is refused, unless forced,
// where it would bring nearer the moment at which no admin has a key.
func (k *Keys) Revoke(ctx context.Context, ch catalog.Change, by authz.Principal, id string, force bool) (*Key, error) {
	var after Key
	answer, err := k.log.Transact(ctx, ch, state.KeysChangedKey(), func(_ context.Context, v *state.View) (*catalog.Plan, error) {
		f, err := find(v, by, id)
		if err != nil {
			return nil, err
		}
		if err := mayGive(by, f.rec.Groups, f.rec.Tenant); err != nil {
			return nil, err
		}
		p := &catalog.Plan{Preconditions: []*command.Precondition{command.KeyUnchanged(state.APIKeyKey(f.hash), f.revision)}}
		now := max(k.log.NowMs(), v.TimeMs)
		if !live(f.rec, now) {
			p.Nothing = true
		} else {
			if err := keepAdmin(v, p, now, f.rec, nil, force); err != nil {
				return nil, err
			}
			f.rec.RevokedMs = now
			if err := put(v, p, f.hash, f.rec); err != nil {
				return nil, err
			}
			tell(p, "key.revoke", f.rec)
		}
		used, err := lastUsed(v, id)
		if err != nil {
			return nil, err
		}
		p.Applied = func(res command.Result) { after = show(f.rec, used, now, res.Index) }
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	if answer != nil {
		// A repeat: what it led to is in the state.
		return k.get(ctx, by, id)
	}
	return &after, nil
}

// keepAdmin refuses a change that takes a key out of the state, or puts another one
// in its place, where that would bring nearer the moment at which no admin has a
// key, and requires that what it judged by stays as it is.
func keepAdmin(v *state.View, p *catalog.Plan, nowMs uint64, without, with *state.APIKey, force bool) error {
	if force || !slices.Contains(without.Groups, authz.GroupAdmin) {
		return nil
	}
	rest, err := adminUntil(v, nowMs, without.Id)
	if err != nil {
		return err
	}
	if with != nil {
		rest = later(rest, until(with))
	}
	if later(rest, until(without)) != rest {
		if rest == 0 {
			return catalog.Refuse(catalog.KindKeyRefused, "Refused: %s is the last key of group %s, and nobody could make another; make one first, or force it", without.Id, authz.GroupAdmin)
		}
		return catalog.Refuse(catalog.KindKeyRefused, "Refused: no other key of group %s lives as long as %s, the last of them until %s; make one first, or force it",
			authz.GroupAdmin, without.Id, moment(rest).Format("2006-01-02T15:04:05Z"))
	}
	return unchanged(v, p, state.KeysChangedKey())
}

// forEver is the end of a key that has none.
const forEver = ^uint64(0)

func until(rec *state.APIKey) uint64 {
	if end := rec.EndedMs(); end != 0 {
		return end
	}
	return forEver
}

func later(a, b uint64) uint64 { return max(a, b) }

// adminUntil is until when an admin has a key, one of them aside; 0 where none has.
func adminUntil(v *state.View, nowMs uint64, aside string) (last uint64, err error) {
	err = each(v, func(rec *state.APIKey) bool {
		if rec.Id != aside && live(rec, nowMs) && slices.Contains(rec.Groups, authz.GroupAdmin) {
			last = later(last, until(rec))
		}
		return last != forEver
	})
	return last, err
}

// HasAdmin tells whether any key of an admin is honoured at a moment.
func HasAdmin(v *state.View, nowMs uint64) (bool, error) {
	last, err := adminUntil(v, max(nowMs, v.TimeMs), "")
	return last != 0, err
}

// each calls fn for each key's record until it returns false.
func each(v *state.View, fn func(*state.APIKey) bool) error {
	var failed error
	err := v.Scan(state.SpaceRange(state.SpaceAPIKey), func(_ []byte, value state.Value) bool {
		rec := &state.APIKey{}
		if failed = state.Decode(value, rec); failed != nil {
			return false
		}
		return fn(rec)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return catalog.Broken(err)
	}
	return nil
}
