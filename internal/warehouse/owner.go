package warehouse

import (
	"bytes"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/secret"
)

// Sealed is all credentials of warehouses, so that a change of keys finds them. It
// implements secret.Owner.
type Sealed struct{}

// Kind is what the purposes of credentials begin with.
func (Sealed) Kind() string { return kind }

// Sealed calls see with the credentials of each warehouse that has its own.
func (Sealed) Sealed(v *state.View, see func(secret.Record) error) error {
	var failed error
	err := v.Scan(state.SpaceRange(state.SpaceWarehouse), func(key []byte, value state.Value) bool {
		rec := &state.Warehouse{}
		if failed = state.Decode(value, rec); failed != nil || len(rec.GetStore().GetCredentials()) == 0 {
			return failed == nil
		}
		key = bytes.Clone(key)
		failed = see(secret.Record{
			Key: key, Revision: value.Revision, Purpose: purpose(rec.GetName()), Sealed: rec.GetStore().GetCredentials(),
			Put: func(sealed []byte) ([]*command.Write, error) {
				next := proto.CloneOf(rec)
				next.Store.Credentials = sealed
				data, err := state.Encode(next)
				if err != nil {
					return nil, err
				}
				return []*command.Write{command.PutValue(key, data), command.PutValue(state.WarehousesChangedKey(), nil)}, nil
			},
		})
		return failed == nil
	})
	if err != nil {
		return err
	}
	return failed
}
