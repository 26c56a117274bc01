package state

import "encoding/binary"

// PolicySetKey is where the head of a scope's policies is kept: of a warehouse by
// its name, of the whole cluster by "".
func PolicySetKey(scope string) []byte {
	return appendName([]byte{byte(SpacePolicySet)}, scope)
}

// PolicyScope reads the scope from the key of a set's head.
func PolicyScope(key []byte) (string, error) {
	if len(key) == 0 || key[0] != byte(SpacePolicySet) {
		return "", ErrBadKey
	}
	scope, rest, err := cutName(key[1:])
	if err != nil || len(rest) > 0 {
		return "", ErrBadKey
	}
	return scope, nil
}

// PolicyVersionKey is where one version of a scope's policies is kept.
func PolicyVersionKey(scope string, version uint64) []byte {
	key := appendName([]byte{byte(SpacePolicyVersion)}, scope)
	return binary.BigEndian.AppendUint64(key, version)
}

// PolicyVersionsOf is the range of a scope's versions, the oldest first.
func PolicyVersionsOf(scope string) KeyRange {
	return prefixRange(appendName([]byte{byte(SpacePolicyVersion)}, scope))
}

// PolicySet returns the head of a scope's policies and its revision. A scope that
// was never given any has none.
func (v *View) PolicySet(scope string) (*PolicySet, uint64, bool, error) {
	rec := &PolicySet{}
	rev, ok, err := load(v, PolicySetKey(scope), rec)
	return rec, rev, ok, err
}

// PolicyVersion returns one version of a scope's policies, if it is still kept.
func (v *View) PolicyVersion(scope string, version uint64) (*PolicyVersion, bool, error) {
	rec := &PolicyVersion{}
	_, ok, err := load(v, PolicyVersionKey(scope, version), rec)
	return rec, ok, err
}
