package serve

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/internal/catalog"
)

// IdempotencyKeyHeader names a change, so that it is carried out once however
// often it is sent.
const IdempotencyKeyHeader = "Idempotency-Key"

const uuidText = 36

// idempotencyKey reads the key of a change; "" is none. Any UUID will do.
func idempotencyKey(h http.Header) (string, error) {
	values := h.Values(IdempotencyKeyHeader)
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", BadRequest("Header %s is given %d times", IdempotencyKeyHeader, len(values))
	}
	key := strings.TrimSpace(values[0])
	if key == "" {
		return "", nil
	}
	if len(key) != uuidText || uuid.Validate(key) != nil {
		return "", BadRequest("Header %s must be a UUID of 36 characters", IdempotencyKeyHeader)
	}
	return strings.ToLower(key), nil
}

// Change is what the catalog must know of a change beside its own arguments. It is
// asked for when the rights were.
func (c *Call) Change() catalog.Change {
	if !c.asked {
		panic("serve: " + c.Route.Path + " is changed and no right was asked for")
	}
	change := catalog.Change{Principal: c.Principal.ID, Key: c.key}
	if c.key != "" {
		change.Fingerprint = c.fingerprint()
	}
	for _, e := range slices.Concat(c.Principal.Evidence, c.evidence) {
		change.Guards = append(change.Guards, catalog.Guard{Key: e.Key, Revision: e.Revision})
	}
	return change
}

// fingerprint is what a key is bound to: the method, the path after decoding, so
// that two spellings of one name are one request, the parameters and the body.
func (c *Call) fingerprint() []byte {
	h := sha256.New()
	var length [8]byte
	add := func(parts ...string) {
		for _, part := range parts {
			binary.BigEndian.PutUint64(length[:], uint64(len(part)))
			h.Write(length[:])
			h.Write([]byte(part))
		}
	}
	add(c.Route.Method, c.Route.Path)
	for _, p := range c.params {
		add(p.Value)
	}
	add(c.Query.Encode())
	h.Write(c.Body)
	return h.Sum(nil)
}
