package state

// SpaceSigningKey is what nodes' signatures are checked with, by the key's id.
const SpaceSigningKey Space = 0x3A

// SigningKeyKey is where it is kept what a node's signatures are checked with.
func SigningKeyKey(id string) []byte {
	return appendName([]byte{byte(SpaceSigningKey)}, id)
}

// SigningKey returns what a node's signatures are checked with, and its revision.
func (v *View) SigningKey(id string) (*SigningKey, uint64, bool, error) {
	rec := &SigningKey{}
	rev, ok, err := load(v, SigningKeyKey(id), rec)
	return rec, rev, ok, err
}
