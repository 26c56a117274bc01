package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	// fetchTimeout bounds all of a fetch: no request waits longer for it.
	fetchTimeout = 10 * time.Second
	// maxKeys is how many keys of an issuer are kept: a token that names none is tried
	// with each.
	maxKeys = 32
	// minRSABits is the least that is not broken within the life of a token.
	minRSABits = 2048
)

var (
	errUnknownKey = errors.New("the issuer has no such key")
	errSignature  = errors.New("the signature is not that of the key")
)

// attempt is one look at a token, which the library that asks for keys in between
// hands on as it is.
type attempt struct {
	still  bool  // nothing is fetched for it
	failed error // why keys could not be had
}

type attemptKey struct{}

// fetches are those that are under way. Each is for all who wait, and not for one of
// them, so they end when nobody is to be served any more.
type fetches struct {
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// keySet is the keys of an issuer, as this node last got them.
type keySet struct {
	issuer  string
	opts    *Options
	fetches *fetches

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	got     time.Time // when they were fetched; zero is never
	tried   time.Time // when that was last begun
	failure error     // of the last fetch
	flight  chan struct{}
}

func newKeySet(issuer string, opts *Options, f *fetches) *keySet {
	return &keySet{issuer: issuer, opts: opts, fetches: f}
}

// VerifySignature implements oidc.KeySet.
func (k *keySet) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	try, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok {
		try = &attempt{}
	}
	token, err := jose.ParseSignedCompact(raw, Algorithms)
	if err != nil {
		return nil, err
	}
	header := token.Signatures[0].Header
	payload, err := verify(token, header, k.known())
	if !errors.Is(err, errUnknownKey) || try.still {
		return payload, err
	}
	keys, err := k.fetched(ctx)
	if err != nil {
		try.failed = err
		return nil, err
	}
	return verify(token, header, keys)
}

// verify looks for the key that a token was signed with. Whatever else its header
// says, keys and places of keys above all, is not looked at.
func verify(token *jose.JSONWebSignature, header jose.Header, keys []jose.JSONWebKey) ([]byte, error) {
	err := errUnknownKey
	for _, key := range keys {
		if header.KeyID != "" && key.KeyID != header.KeyID || !fits(key, jose.SignatureAlgorithm(header.Algorithm)) {
			continue
		}
		payload, wrong := token.Verify(key.Key)
		if wrong == nil {
			return payload, nil
		}
		if header.KeyID != "" {
			err = errSignature
		}
	}
	return nil, err
}

// fits tells whether a key is for an algorithm: of its kind, strong enough, and meant
// to sign with it. A key to encrypt with proves nothing.
func fits(key jose.JSONWebKey, algorithm jose.SignatureAlgorithm) bool {
	if key.Use != "" && key.Use != "sig" || key.Algorithm != "" && key.Algorithm != string(algorithm) {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return algorithm == jose.RS256 && public.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return algorithm == jose.ES256 && public.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return algorithm == jose.EdDSA
	}
	return false
}

// known are the keys that this node has. Old ones are fetched again, which nobody
// waits for; those that could not be for too long are given up.
func (k *keySet) known() []jose.JSONWebKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	age := k.opts.Now().Sub(k.got)
	if k.got.IsZero() || age >= k.opts.KeepFor {
		return nil
	}
	if age >= k.opts.RefreshAfter {
		k.begin()
	}
	return k.keys
}

// fetched are the keys as they are now: of a fetch that is begun for this, or is under
// way for somebody else. Where there was one a moment ago its outcome counts: tokens
// with keys that nobody has must not make this node ask all the time.
func (k *keySet) fetched(ctx context.Context) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	flight := k.begin()
	k.mu.Unlock()
	if flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	// Where the issuer can't be asked, it can't be told whether it has such a key.
	return k.keys, k.failure
}

// begin begins a fetch, unless one is under way, which it returns, or was a moment
// ago. The mutex is held.
func (k *keySet) begin() (flight <-chan struct{}) {
	now := k.opts.Now()
	if k.flight != nil {
		return k.flight
	}
	if !k.tried.IsZero() && now.Sub(k.tried) < k.opts.RefetchEvery {
		return nil
	}
	done := make(chan struct{})
	k.flight, k.tried = done, now
	k.fetches.running.Go(func() {
		ctx, cancel := context.WithTimeout(k.fetches.ctx, fetchTimeout)
		defer cancel()
		keys, err := k.fetch(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.failure = err; err == nil {
			k.keys, k.got = keys, now
		} else {
			k.opts.Logger.Warn("the keys of an identity provider can't be fetched; those that are known are used",
				slog.String("issuer", k.issuer), slog.Any("error", err))
		}
		k.flight = nil
		close(done)
	})
	return done
}

// fetch asks the issuer where its keys are, and gets them there.
func (k *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, k.opts.Client.Client), k.issuer)
	if err != nil {
		return nil, err
	}
	var document struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, err
	}
	if err := CheckURL(document.Keys); err != nil {
		return nil, fmt.Errorf("jwks_uri: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, document.Keys, nil)
	if err != nil {
		return nil, err
	}
	resp, err := k.opts.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", document.Keys, resp.Status)
	}
	return readKeys(body)
}

// readKeys reads a set of keys. A key that it does not know is left out: providers
// have others for others.
func readKeys(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("the set of keys can't be read: %w", err)
	}
	var out []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || !key.Valid() || !key.IsPublic() {
			continue
		}
		for _, algorithm := range Algorithms {
			if fits(key, algorithm) && len(out) < maxKeys {
				out = append(out, key)
				break
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("the set of keys holds none that tokens could be signed with")
	}
	return out, nil
}
