// Command provider is the OpenID Connect provider that comes with zitadel/oidc, with what
// its example lacks: programs get tokens that others can verify, for as short a time as a
// test wants, and it signs with another key now and then.
//
// usage: provider PORT TOKEN_LIFETIME KEY_LIFETIME
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

func main() {
	if err := run(os.Args); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("usage: %s PORT TOKEN_LIFETIME KEY_LIFETIME", args[0])
	}
	p := &provider{}
	for text, into := range map[string]*time.Duration{args[2]: &p.tokenLifetime, args[3]: &p.keyLifetime} {
		d, err := time.ParseDuration(text)
		if err != nil {
			return err
		}
		*into = d
	}
	issuer := fmt.Sprintf("http://localhost:%s/", args[1])
	p.Storage = storage.NewStorage(storage.NewUserStore(issuer))
	server := &http.Server{
		Addr: "127.0.0.1:" + args[1], Handler: exampleop.SetupServer(issuer, p, nil, false), ReadHeaderTimeout: 5 * time.Second,
	}
	return server.ListenAndServe()
}

// provider is the storage of the example, but for programs' tokens and keys.
type provider struct {
	*storage.Storage
	tokenLifetime, keyLifetime time.Duration

	mu   sync.Mutex
	keys []*key // the newest last
}

// program is a client that gets tokens for itself.
type program struct{ op.Client }

// AccessTokenType has its tokens say all that there is to say.
func (program) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// ClientCredentials finds a program.
func (p *provider) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	client, err := p.Storage.ClientCredentials(ctx, id, secret)
	if err != nil {
		return nil, err
	}
	return program{client}, nil
}

// CreateAccessToken makes a token that ends soon.
func (p *provider) CreateAccessToken(ctx context.Context, request op.TokenRequest) (string, time.Time, error) {
	id, _, err := p.Storage.CreateAccessToken(ctx, request)
	return id, time.Now().Add(p.tokenLifetime), err
}

// key is one that tokens are signed with, for a while.
type key struct {
	id     string
	secret *rsa.PrivateKey
	until  time.Time
}

func (k *key) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k *key) ID() string                                  { return k.id }
func (k *key) Key() any                                    { return k.secret }

// public is what a key's signatures are checked with.
type public struct{ *key }

func (k public) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k public) Use() string                        { return "sig" }
func (k public) Key() any                           { return k.secret.Public() }

// SigningKey is the newest key, or another one where its time is over.
func (p *provider) SigningKey(context.Context) (op.SigningKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.keys); n > 0 && time.Now().Before(p.keys[n-1].until) {
		return p.keys[n-1], nil
	}
	secret, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	next := &key{id: rand.Text(), secret: secret, until: time.Now().Add(p.keyLifetime)}
	p.keys = append(p.keys, next)
	return next, nil
}

// KeySet is all keys that tokens may have been signed with.
func (p *provider) KeySet(context.Context) ([]op.Key, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]op.Key, len(p.keys))
	for i, k := range p.keys {
		out[i] = public{k}
	}
	return out, nil
}
