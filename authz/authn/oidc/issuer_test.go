package oidc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/authz/authn/oidc"
)

const audience = "floeberg"

// provider is an issuer that does what a test wants, over TLS.
type provider struct {
	*httptest.Server
	asked atomic.Int32 // for its keys

	mu       sync.Mutex
	keys     []jose.JSONWebKey
	document map[string]any                                // in place of what it says of itself
	keysBody []byte                                        // in place of its keys
	instead  func(http.ResponseWriter, *http.Request) bool // answers before all else
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(p.answer))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *provider) answer(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.instead != nil && p.instead(w, r) {
		return
	}
	var body any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		document := map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}}
		maps.Copy(document, p.document)
		body = document
	case "/keys":
		p.asked.Add(1)
		if p.keysBody != nil {
			_, _ = w.Write(p.keysBody)
			return
		}
		body = jose.JSONWebKeySet{Keys: p.keys}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// signer is a key that the provider signs with, and what it says of it.
type signer struct {
	id        string
	algorithm jose.SignatureAlgorithm
	key       crypto.Signer
}

func ecdsaKey(t testing.TB, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, jose.ES256, key}
}

func rsaKey(t testing.TB, id string, bits int) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, jose.RS256, key}
}

func edKey(t testing.TB, id string) signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, jose.EdDSA, key}
}

func (s signer) public(use string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.key.Public(), KeyID: s.id, Use: use, Algorithm: string(s.algorithm)}
}

// publish makes these the provider's keys.
func (p *provider) publish(signers ...signer) {
	p.set(func() {
		p.keys = nil
		for _, s := range signers {
			p.keys = append(p.keys, s.public("sig"))
		}
	})
}

// sign signs claims; header is further fields of the token's head.
func sign(t testing.TB, algorithm jose.SignatureAlgorithm, key any, id string, claims any, header map[string]any) string {
	t.Helper()
	opts := &jose.SignerOptions{}
	if id != "" {
		opts = opts.WithHeader("kid", id)
	}
	for name, value := range header {
		opts = opts.WithHeader(jose.HeaderKey(name), value)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	payload, ok := claims.([]byte)
	if !ok {
		if payload, err = json.Marshal(claims); err != nil {
			t.Fatal(err)
		}
	}
	signed, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (s signer) sign(t testing.TB, claims any) string {
	t.Helper()
	return sign(t, s.algorithm, s.key, s.id, claims, nil)
}

// clock is a time that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_800_000_000, 0)} }

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// claims are those of a good token, with changes; nil takes one away.
func (p *provider) claims(c *clock, changes map[string]any) map[string]any {
	out := map[string]any{
		"iss": p.URL, "aud": audience, "sub": "nansen", "iat": c.time().Unix(), "exp": c.time().Add(time.Hour).Unix(),
	}
	for name, value := range changes {
		if out[name] = value; value == nil {
			delete(out, name)
		}
	}
	return out
}

// tokens takes the provider's tokens.
func (p *provider) tokens(t *testing.T, c *clock, adjust ...func(*oidc.Options)) *oidc.Tokens {
	t.Helper()
	trusted := x509.NewCertPool()
	trusted.AddCert(p.Certificate())
	opts := oidc.Options{
		Issuers: []string{p.URL}, Audiences: []string{audience}, Now: c.time,
		Mapping: oidc.Mapping{Groups: "groups"}, Client: oidc.NewClient(trusted),
	}
	for _, a := range adjust {
		a(&opts)
	}
	tokens, err := oidc.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tokens.Close)
	return tokens
}

func ask(tokens *oidc.Tokens, token string) (authz.Principal, error) {
	return tokens.Authenticate(context.Background(), authn.Credentials{Key: token})
}

// word is why a token was refused, as metrics have it; "" is that it was not.
func word(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	if errors.Is(err, authn.ErrUnauthenticated) == errors.Is(err, authn.ErrUnavailable) {
		t.Errorf("it can't be told what kind of an error this is: %v", err)
	}
	return authn.Reason(err)
}
