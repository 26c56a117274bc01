package authn

import (
	"crypto/ed25519"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/fsm/state"
)

// Beside those of identity providers there are tokens that nodes sign. One names the
// API key that it stands for, and gives what that has at the moment of its use: its
// end is the token's.

// maxGivenBytes bounds the length of such a token: they have a fifth of it.
const maxGivenBytes = 2048

// issuerPrefix begins how a cluster calls itself in what it signs. Identity providers
// are URLs of other schemes.
const issuerPrefix = "floeberg:"

// claims are what a token says.
type claims struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	// KeyID is the API key that the token stands for.
	KeyID   string `json:"key_id"`
	Issued  int64  `json:"iat"`
	Expires int64  `json:"exp"`
	ID      string `json:"jti"`
}

// issuerOf is how a cluster calls itself in what it signs: a token of another
// cluster is none here, even where that has this one's keys from a backup.
func issuerOf(clusterID string) string { return issuerPrefix + clusterID }

// IsToken tells whether text has the form of a signed token, and so can't be an API key.
func IsToken(text string) bool { return signed(text) }

// IsGiven tells whether a token says that a cluster like this one signed it.
func IsGiven(text string) bool {
	t, err := parseToken(text)
	var c claims
	return err == nil && t.UnsafeClaimsWithoutVerification(&c) == nil && strings.HasPrefix(c.Issuer, issuerPrefix)
}

// parseToken reads a token of which nothing is proven.
func parseToken(text string) (*jwt.JSONWebToken, error) {
	if len(text) > maxGivenBytes {
		return nil, ErrMalformed
	}
	// One algorithm: what a token says of itself decides nothing.
	t, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(t.Headers) != 1 || t.Headers[0].KeyID == "" {
		return nil, ErrMalformed
	}
	return t, nil
}

// TokenSubject is whom a token says that it stands for, of which nothing is proven;
// "" where it can't be read.
func TokenSubject(text string) string {
	t, err := parseToken(text)
	if err != nil {
		return ""
	}
	var c claims
	if t.UnsafeClaimsWithoutVerification(&c) != nil {
		return ""
	}
	return c.Subject
}

// proveToken finds out in a state whom a token stands for.
func (k *Keys) proveToken(v *state.View, t *jwt.JSONWebToken) (Proof, error) {
	signer := t.Headers[0].KeyID
	signing, signingRevision, ok, err := v.SigningKey(signer)
	if err != nil {
		return Proof{}, unavailable(err)
	}
	if !ok || len(signing.PublicKey) != ed25519.PublicKeySize {
		return Proof{}, ErrUnknownSigner
	}
	var c claims
	if err := t.Claims(ed25519.PublicKey(signing.PublicKey), &c); err != nil {
		return Proof{}, ErrBadToken
	}
	if err := k.holds(v, signing, &c); err != nil {
		return Proof{}, err
	}
	entry, _, ok, err := v.KeyEntry(c.KeyID)
	if err != nil {
		return Proof{}, unavailable(err)
	}
	if !ok {
		return Proof{}, ErrUnknownKey
	}
	p, err := k.proveKey(v, entry.Hash)
	if err != nil {
		return Proof{}, err
	}
	if p.KeyID != c.KeyID || p.ID != c.Subject {
		return Proof{}, ErrBadToken
	}
	p.Proof = authz.ProofToken
	p.Evidence = append(p.Evidence, authz.Evidence{Key: state.SigningKeyKey(signer), Revision: signingRevision})
	return p, nil
}

// holds checks what a token says of itself, once its signature is good.
func (k *Keys) holds(v *state.View, signing *state.SigningKey, c *claims) error {
	cluster, ok, err := v.Cluster()
	switch {
	case err != nil:
		return unavailable(err)
	case !ok || c.Issuer != issuerOf(cluster.Id):
		return ErrBadToken
	case max(k.opts.NowMs(), v.TimeMs) >= uint64(max(c.Expires, 0))*1000:
		return ErrExpiredToken
	}
	// What a node signed counts no longer than the node belongs to the cluster.
	member, ok, err := v.Member(signing.Node)
	switch {
	case err != nil:
		return unavailable(err)
	case ok && member.RemovedMs >= signing.CreatedMs:
		return ErrBadToken
	}
	return nil
}
