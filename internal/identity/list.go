package identity

import (
	"context"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// List returns keys by id, those too that have ended lately. Who belongs to a tenant
// is shown that tenant's.
func (k *Keys) List(ctx context.Context, read catalog.Read, by authz.Principal, page catalog.Page) (*List, error) {
	v, err := k.log.View(ctx, read)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	now := max(k.log.NowMs(), v.TimeMs)
	list := &List{Keys: []Key{}, Index: v.Index}
	list.Next, err = catalog.EachOf(v, state.KeyIDs(), page, func(key []byte, _ state.Value) (func(), error) {
		id, err := state.KeyID(key)
		if err != nil {
			return nil, err
		}
		f, err := find(v, by, id)
		if catalog.KindOf(err) == catalog.KindNoSuchKey {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		used, err := lastUsed(v, id)
		if err != nil {
			return nil, err
		}
		return func() { list.Keys = append(list.Keys, show(f.rec, used, now, v.Index)) }, nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// get returns one key, proven current.
func (k *Keys) get(ctx context.Context, by authz.Principal, id string) (*Key, error) {
	v, err := k.log.View(ctx, catalog.Read{})
	if err != nil {
		return nil, err
	}
	defer v.Close()
	f, err := find(v, by, id)
	if err != nil {
		return nil, err
	}
	used, err := lastUsed(v, id)
	if err != nil {
		return nil, err
	}
	shown := show(f.rec, used, max(k.log.NowMs(), v.TimeMs), v.Index)
	return &shown, nil
}

func lastUsed(v *state.View, id string) (uint64, error) {
	use, _, _, err := v.KeyUse(id)
	if err != nil {
		return 0, catalog.Broken(err)
	}
	return use.GetUsedMs(), nil
}
