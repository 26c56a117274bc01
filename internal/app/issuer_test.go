package app_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// issuer is an identity provider over TLS that says what a test wants.
type issuer struct {
	*httptest.Server
	secret ed25519.PrivateKey
	more   map[string]any // claims of its tokens
}

// newIssuer starts one whose certificate an authority made.
func newIssuer(t *testing.T, by *authority) *issuer {
	t.Helper()
	public, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	certFile, keyFile := filepath.Join(files, "cert"), filepath.Join(files, "key")
	by.issue(t, certFile, keyFile, "issuer")
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{secret: secret}
	mux := http.NewServeMux()
	answer := func(path string, body func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(body())
		})
	}
	answer("/.well-known/openid-configuration", func() any { return map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys"} })
	answer("/keys", func() any {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "k", Use: "sig", Algorithm: string(jose.EdDSA)}}}
	})
	i.Server = httptest.NewUnstartedServer(mux)
	i.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	i.StartTLS()
	t.Cleanup(i.Close)
	return i
}

// token speaks of a subject with these groups, for an hour.
func (i *issuer) token(t *testing.T, audience, subject string, groups ...string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: i.secret, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": i.URL, "aud": audience, "sub": subject, "name": subject, "groups": groups, "exp": time.Now().Add(time.Hour).Unix(),
	}).Claims(i.more).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
