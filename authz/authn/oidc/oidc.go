// Package oidc authenticates by tokens of OpenID Connect providers.
//
// Nothing in a token says where to look for the key that it was signed with: the
// issuer is one of those that the operator named, and where its keys are that
// issuer says itself. A provider that is down stops nobody whose key is known.
package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
)

// Algorithms are those that a token may be signed with: nothing that needs no key,
// and nothing whose key both sides have.
var Algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}

// Why a token was refused, for metrics.
const (
	wordMalformed = "token_malformed"
	wordIssuer    = "token_issuer"
	wordSignature = "token_signature"
	wordAudience  = "token_audience"
	wordTime      = "token_time"
	wordClaims    = "token_claims"
)

// Options are what Tokens is made of.
type Options struct {
	// Issuers are whose tokens are taken, as their tokens name them. Required.
	Issuers []string
	// Audiences are those of which a token must name one. Required: a token that was
	// made for another service proves nothing here.
	Audiences []string
	// Mapping says how claims become a principal.
	Mapping Mapping
	// Skew is by how much the clocks of issuers and nodes may differ. Default 30 s.
	Skew time.Duration
	// RefetchEvery is how often an unknown key may have an issuer's keys fetched
	// again. Default 10 s.
	RefetchEvery time.Duration
	// RefreshAfter is after which time keys are fetched again, so that those that the
	// issuer took out are out here. Default 5 min.
	RefreshAfter time.Duration
	// KeepFor is how long keys are good while they can't be fetched again. Default 24 h.
	KeepFor time.Duration
	// Client asks issuers; see NewClient. Required.
	Client *Client
	Logger *slog.Logger
	// Now is the time. Default time.Now.
	Now func() time.Time
}

func (o *Options) complete() error {
	switch {
	case len(o.Issuers) == 0:
		return errors.New("oidc: Issuers are missing")
	case len(o.Audiences) == 0:
		return errors.New("oidc: Audiences are missing")
	case o.Client == nil:
		return errors.New("oidc: Client is missing")
	}
	for field, value := range map[*time.Duration]time.Duration{
		&o.Skew: 30 * time.Second, &o.RefetchEvery: 10 * time.Second, &o.RefreshAfter: 5 * time.Minute, &o.KeepFor: 24 * time.Hour,
	} {
		if *field <= 0 {
			*field = value
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Tokens authenticates by tokens of some issuers.
type Tokens struct {
	opts    Options
	issuers map[string]*issuer
	fetches fetches
}

// issuer is one provider.
type issuer struct {
	keys     *keySet
	verifier *oidc.IDTokenVerifier
}

// New makes an authenticator. It asks nobody: issuers are asked when a token of
// theirs comes.
func New(opts Options) (*Tokens, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	t := &Tokens{opts: opts, issuers: make(map[string]*issuer, len(opts.Issuers))}
	t.fetches.ctx, t.fetches.cancel = context.WithCancel(context.Background())
	algorithms := make([]string, len(Algorithms))
	for i, a := range Algorithms {
		algorithms[i] = string(a)
	}
	for _, name := range opts.Issuers {
		keys := newKeySet(name, &t.opts, &t.fetches)
		t.issuers[name] = &issuer{keys: keys, verifier: oidc.NewVerifier(name, keys, &oidc.Config{
			SupportedSigningAlgs: algorithms,
			// Several audiences are possible, and clocks may differ: both are checked here.
			SkipClientIDCheck: true, SkipExpiryCheck: true,
		})}
	}
	return t, nil
}

// Close gives up what is being fetched. Tokens are not to be asked any more.
func (t *Tokens) Close() {
	t.fetches.cancel()
	t.fetches.running.Wait()
}

func refuse(word, format string, args ...any) error {
	return &authn.TokenError{Word: word, Err: fmt.Errorf(format, args...)}
}

// Authenticate returns who a token speaks of. Its error is authn.ErrUnauthenticated,
// or authn.ErrUnavailable where the issuer's keys can't be had now.
func (t *Tokens) Authenticate(ctx context.Context, c authn.Credentials) (authz.Principal, error) {
	name, err := issuerOf(c.Key)
	if err != nil {
		return authz.Principal{}, err
	}
	from, known := t.issuers[name]
	if !known {
		return authz.Principal{}, refuse(wordIssuer, "issuer %q is not one of those that are trusted", name)
	}
	try := &attempt{still: c.Doubtful}
	token, err := from.verifier.Verify(context.WithValue(ctx, attemptKey{}, try), c.Key)
	switch {
	case try.failed != nil:
		return authz.Principal{}, fmt.Errorf("%w: %w", authn.ErrUnavailable, try.failed)
	case err != nil:
		return authz.Principal{}, refuse(wordSignature, "%w", err)
	case token.Issuer != name:
		// One exception of the library's, which we do not need.
		return authz.Principal{}, refuse(wordIssuer, "issuer %q is not %q", token.Issuer, name)
	}
	var all claims
	if err := token.Claims(&all); err != nil {
		return authz.Principal{}, refuse(wordClaims, "%w", err)
	}
	if err := t.check(token, all); err != nil {
		return authz.Principal{}, err
	}
	return t.opts.Mapping.principal(name, token.Subject, all)
}

// check checks what the signature says nothing of.
func (t *Tokens) check(token *oidc.IDToken, all claims) error {
	if !slices.ContainsFunc(token.Audience, func(a string) bool { return slices.Contains(t.opts.Audiences, a) }) {
		return refuse(wordAudience, "audience %q is for others", token.Audience)
	}
	now := t.opts.Now()
	expires, ok, err := all.time("exp")
	if err != nil || !ok {
		return refuse(wordTime, "no end of its time: %w", errors.Join(err, authn.ErrNoName))
	}
	if !now.Before(expires.Add(t.opts.Skew)) {
		return refuse(wordTime, "expired at %s", expires)
	}
	for _, name := range []string{"nbf", "iat"} {
		at, ok, err := all.time(name)
		if err != nil {
			return refuse(wordTime, "%s: %w", name, err)
		}
		if ok && now.Add(t.opts.Skew).Before(at) {
			return refuse(wordTime, "%s: not before %s", name, at)
		}
	}
	return nil
}

// issuerOf reads whom a token claims to come from, which proves nothing yet.
func issuerOf(raw string) (string, error) {
	if len(raw) > authn.MaxTokenBytes {
		return "", refuse(wordMalformed, "%d bytes", len(raw))
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return "", refuse(wordMalformed, "%d parts", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", refuse(wordMalformed, "%w", err)
	}
	var body struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(payload, &body); err != nil {
		return "", refuse(wordMalformed, "%w", err)
	}
	return body.Issuer, nil
}
