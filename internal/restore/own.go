package restore

import (
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// ownSpaces are of the cluster itself, and stay as they are in the one that takes on
// another's state: its identity, since two clusters with one would take each other
// for themselves, and what was decided about its nodes and is known of their audit logs:
// their names may be those of the lost ones.
var ownSpaces = []state.Space{state.SpaceCluster, state.SpaceMember, state.SpaceAudit}

// keepOwn is the writes that bring back, after the state gave way, what the cluster
// keeps: what is its own; its API keys, beside the restored ones, so that who
// restores is not locked out; and its warehouses whose names the restored
// state does not have.
func keepOwn(v *state.View, restored map[string]bool) ([]*command.Write, error) {
	var writes []*command.Write
	for _, space := range ownSpaces {
		r := state.SpaceRange(space)
		writes = append(writes, command.DeleteKeys(r.Start, r.End))
		if err := eachOwn(v, space, func(key []byte, value state.Value) error {
			writes = append(writes, command.PutValue(key, value.Data))
			return nil
		}); err != nil {
			return nil, err
		}
	}
	err := eachOwn(v, state.SpaceAPIKey, func(key []byte, value state.Value) error {
		rec := &state.APIKey{}
		if err := state.Decode(value, rec); err != nil {
			return err
		}
		entry, err := state.Encode(&state.KeyEntry{Hash: key[1:]})
		if err != nil {
			return err
		}
		writes = append(writes, command.PutExpiring(key, value.Data, rec.KeptUntilMs()),
			command.PutExpiring(state.KeyIDKey(rec.GetId()), entry, rec.KeptUntilMs()))
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Data keys may be what the secrets of those warehouses are sealed with. Which one
	// seals is said by the restored state.
	known, err := v.DataKeys()
	if err != nil {
		return nil, err
	}
	for _, rec := range known.Keys {
		data, err := state.Encode(rec)
		if err != nil {
			return nil, err
		}
		writes = append(writes, command.PutValue(state.DataKeyKey(rec.GetId()), data))
	}
	// Whoever judges by all warehouses looks again.
	writes = append(writes, command.PutValue(state.WarehousesChangedKey(), nil))
	err = eachOwn(v, state.SpaceWarehouse, func(key []byte, value state.Value) error {
		name, err := state.WarehouseName(key)
		if err == nil && !restored[name] {
			writes = append(writes, command.PutValue(key, value.Data))
		}
		return err
	})
	return writes, err
}

// eachOwn calls see with copies of what is in a keyspace.
func eachOwn(v *state.View, space state.Space, see func(key []byte, value state.Value) error) error {
	var failed error
	err := v.Scan(state.SpaceRange(space), func(key []byte, value state.Value) bool {
		value.Data = append([]byte(nil), value.Data...)
		failed = see(append([]byte(nil), key...), value)
		return failed == nil
	})
	if err != nil {
		return err
	}
	return failed
}
