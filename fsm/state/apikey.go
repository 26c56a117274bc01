package state

import "time"

// The keyspaces of what is kept of API keys beside their records.
const (
	// SpaceKeyID is API keys by their id, which may be known: what it leads to is under
	// the hash of the secret, which must not be.
	SpaceKeyID Space = 0x38
	// SpaceKeyUse is when API keys were last used, by id.
	SpaceKeyUse Space = 0x39
)

// keyIDEntry begins, after the keyspace, the key of an entry, and keeps it apart from
// what is kept of all keys together.
const keyIDEntry = 0x01

// APIKeyKept is how long an API key is remembered after its end.
const APIKeyKept = 30 * 24 * time.Hour

// KeyIDKey is where an API key's id leads to its record.
func KeyIDKey(id string) []byte {
	return appendName([]byte{byte(SpaceKeyID), keyIDEntry}, id)
}

// KeyIDs is the range of all API keys' ids, in byte order.
func KeyIDs() KeyRange { return prefixRange([]byte{byte(SpaceKeyID), keyIDEntry}) }

// KeyID reads an API key's id from its key.
func KeyID(key []byte) (string, error) {
	if len(key) < 2 || Space(key[0]) != SpaceKeyID || key[1] != keyIDEntry {
		return "", ErrBadKey
	}
	id, rest, err := cutName(key[2:])
	if err != nil || len(rest) > 0 {
		return "", ErrBadKey
	}
	return id, nil
}

// KeysChangedKey changes with each change of any API key: whoever judges by all of
// them requires that it has not.
func KeysChangedKey() []byte { return []byte{byte(SpaceKeyID)} }

// KeyUseKey is where it is kept when an API key was last used.
func KeyUseKey(id string) []byte {
	return appendName([]byte{byte(SpaceKeyUse)}, id)
}

// KeyEntry returns what an API key's id leads to, and its revision.
func (v *View) KeyEntry(id string) (*KeyEntry, uint64, bool, error) {
	rec := &KeyEntry{}
	rev, ok, err := load(v, KeyIDKey(id), rec)
	return rec, rev, ok, err
}

// KeyUse returns when an API key was last used, and the revision of that.
func (v *View) KeyUse(id string) (*KeyUse, uint64, bool, error) {
	rec := &KeyUse{}
	rev, ok, err := load(v, KeyUseKey(id), rec)
	return rec, rev, ok, err
}

// PrincipalID is whose key it is.
func (k *APIKey) PrincipalID() string {
	if k.GetPrincipal() != "" {
		return k.GetPrincipal()
	}
	return k.GetId()
}

// EndedMs is from when on the key is not honoured; 0 is that no end is known.
func (k *APIKey) EndedMs() uint64 {
	revoked, expires := k.GetRevokedMs(), k.GetExpiresMs()
	switch {
	case revoked == 0:
		return expires
	case expires == 0:
		return revoked
	}
	return min(revoked, expires)
}

// KeptUntilMs is how long the key's record is kept; 0 is for good.
func (k *APIKey) KeptUntilMs() uint64 {
	ended := k.EndedMs()
	if ended == 0 || k.GetBootstrap() {
		return 0
	}
	return ended + uint64(APIKeyKept.Milliseconds())
}
