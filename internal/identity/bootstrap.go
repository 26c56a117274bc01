package identity

import (
	"bytes"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// BootstrapKey is the writes that make an admin's key of a secret which nodes were
// given.
func BootstrapKey(secret string, nowMs uint64) ([]*command.Write, error) {
	rec := &state.APIKey{
		Id: authn.KeyID(secret), Name: "bootstrap", Groups: []string{authz.GroupAdmin}, CreatedMs: nowMs, Bootstrap: true, BreakGlass: true,
	}
	return recordOf(authn.HashKey(secret), rec)
}

// MissingNames is the transactions that make what leads from ids to keys where it is
// missing.
func MissingNames(v *state.View) ([]*command.Transaction, error) {
	var missing []*command.Transaction
	var failed error
	err := v.Scan(state.SpaceRange(state.SpaceAPIKey), func(key []byte, value state.Value) bool {
		rec := &state.APIKey{}
		if failed = state.Decode(value, rec); failed != nil {
			return false
		}
		var ok bool
		if _, _, ok, failed = v.KeyEntry(rec.Id); failed != nil || ok {
			return failed == nil
		}
		key = bytes.Clone(key)
		var entry []byte
		if entry, failed = state.Encode(&state.KeyEntry{Hash: key[1:]}); failed != nil {
			return false
		}
		missing = append(missing, &command.Transaction{
			Preconditions: []*command.Precondition{command.KeyUnchanged(key, value.Revision), command.KeyAbsent(state.KeyIDKey(rec.Id))},
			Writes:        []*command.Write{command.PutExpiring(state.KeyIDKey(rec.Id), entry, rec.KeptUntilMs())},
		})
		return true
	})
	if err == nil {
		err = failed
	}
	return missing, err
}
