// Package authn finds out who asks.
package authn

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/fsm/state"
)

// The errors. What exactly was wrong is for metrics, never for the client: all
// of them that are ErrUnauthenticated get one and the same answer.
var (
	// ErrUnauthenticated is returned when the credentials prove nothing. The
	// errors below are all of this kind.
	ErrUnauthenticated = errors.New("authn: unauthenticated")
	// ErrMissing is returned when there are no credentials.
	ErrMissing = fmt.Errorf("%w: no credentials", ErrUnauthenticated)
	// ErrMalformed is returned when the credentials can't be read.
	ErrMalformed = fmt.Errorf("%w: malformed credentials", ErrUnauthenticated)
	// ErrUnknownKey is returned when no such key exists.
	ErrUnknownKey = fmt.Errorf("%w: unknown key", ErrUnauthenticated)
	// ErrExpiredKey is returned when the key's time is over.
	ErrExpiredKey = fmt.Errorf("%w: expired key", ErrUnauthenticated)
	// ErrRevokedKey is returned when the key was revoked.
	ErrRevokedKey = fmt.Errorf("%w: revoked key", ErrUnauthenticated)
	// ErrUnknownSigner is returned when a token is signed with a key that no node has.
	ErrUnknownSigner = fmt.Errorf("%w: unknown signer", ErrUnauthenticated)
	// ErrBadToken is returned when a token is not what a node signed, or was not signed for this cluster.
	ErrBadToken = fmt.Errorf("%w: bad token", ErrUnauthenticated)
	// ErrExpiredToken is returned when the token's time is over.
	ErrExpiredToken = fmt.Errorf("%w: expired token", ErrUnauthenticated)
	// ErrOthersToken is returned when the token is not of the one who presents it.
	ErrOthersToken = fmt.Errorf("%w: another's token", ErrUnauthenticated)
	// ErrForeignToken is returned when a token that no cluster gave is to be renewed.
	ErrForeignToken = fmt.Errorf("%w: foreign token", ErrUnauthenticated)

	// ErrChanged is returned when what an earlier answer rested on does not hold
	// any more: ask again.
	ErrChanged = errors.New("authn: the credentials changed meanwhile")
	// ErrUnavailable is returned when it can't be told now who asks.
	ErrUnavailable = errors.New("authn: can't verify credentials now")
)

// Reason is a short word for a failure, for metrics.
func Reason(err error) string {
	var token *TokenError
	switch {
	case errors.As(err, &token):
		return token.Word
	case errors.Is(err, ErrMissing):
		return "missing"
	case errors.Is(err, ErrMalformed):
		return "malformed"
	case errors.Is(err, ErrUnknownKey):
		return "unknown"
	case errors.Is(err, ErrExpiredKey):
		return "expired"
	case errors.Is(err, ErrRevokedKey):
		return "revoked"
	case errors.Is(err, ErrUnknownSigner):
		return "unknown_signer"
	case errors.Is(err, ErrBadToken):
		return "bad_token"
	case errors.Is(err, ErrExpiredToken):
		return "expired_token"
	case errors.Is(err, ErrOthersToken):
		return "others_token"
	case errors.Is(err, ErrForeignToken):
		return "foreign_token"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	}
	return "other"
}

// Credentials are what a request brought to prove who asks.
type Credentials struct {
	// Key is an API key, or a token in the place of one; "" is none.
	Key string
	// Malformed tells that there was something that could not be read.
	Malformed bool
	// Certificate is what the client has shown and the listener has verified; nil is none.
	Certificate *x509.Certificate
	// Doubtful tells that they come from where many came lately that proved nothing:
	// only what this node knows by itself is looked at.
	Doubtful bool
}

// Options are what Keys is made of.
type Options struct {
	// Local gives the state that this node has, however old. Required.
	Local func(context.Context) (*state.View, error)
	// Proven gives a state that has all that any read on this node has shown. Required.
	// What this node has applied is not enough: a read may be ahead of that.
	Proven func(context.Context) (*state.View, error)
	// Current gives a state that has everything acknowledged before. Required.
	Current func(context.Context) (*state.View, error)
	// NowMs is the replicated time. It goes on where no command is applied, so
	// keys expire on an idle cluster too. Required.
	NowMs func() uint64
	// Used is told each time that a key proves who asks: which one, and the replicated
	// time. Nil is not told.
	Used func(keyID string, nowMs uint64)
	// MaxConfirmations bounds how many unknown keys are looked up in the current
	// state at once. Default 64: one question to the leader serves all that wait,
	// so few are enough and nobody can make many. As many again may wait for
	// their turn, the others are turned away, so that strangers do not take the
	// places of those who have a key.
	MaxConfirmations int
	// ConfirmTimeout bounds the wait for a current state. Default 5 s: enough for
	// an election, and no place to park connections for longer.
	ConfirmTimeout time.Duration
}

// Keys authenticates by API keys in the replicated state, and by tokens that stand
// for them.
type Keys struct {
	opts    Options
	confirm chan struct{}
	inQueue atomic.Int64
}

// NewKeys makes an authenticator over the replicated state.
func NewKeys(opts Options) (*Keys, error) {
	if opts.Local == nil || opts.Proven == nil || opts.Current == nil || opts.NowMs == nil {
		return nil, errors.New("authn: Local, Proven, Current and NowMs are required")
	}
	if opts.MaxConfirmations <= 0 {
		opts.MaxConfirmations = 64
	}
	if opts.ConfirmTimeout <= 0 {
		opts.ConfirmTimeout = 5 * time.Second
	}
	return &Keys{opts: opts, confirm: make(chan struct{}, opts.MaxConfirmations)}, nil
}

// Proof is who asks, and until when what proves it does.
type Proof struct {
	authz.Principal
	// EndsMs is when the API key ends, in replicated time; 0 is never.
	EndsMs uint64
}

// Authenticate returns who the credentials belong to. Its error is
// ErrUnauthenticated, or ErrUnavailable where that can't be found out now.
func (k *Keys) Authenticate(ctx context.Context, c Credentials) (authz.Principal, error) {
	p, err := k.Prove(ctx, c)
	return p.Principal, err
}

// Prove is Authenticate, and tells for how long the answer is good.
//
// A key that this node has is good without asking anybody: whoever acts on the
// answer proves by its evidence that it still holds. A key that this node does
// not have may have been made a moment ago on another one, so it is looked up
// once more in a state that is proven current, unless that is doubtful.
func (k *Keys) Prove(ctx context.Context, c Credentials) (Proof, error) {
	in, err := k.reader(c)
	if err != nil {
		return Proof{}, err
	}
	v, err := k.opts.Local(ctx)
	if err != nil {
		return Proof{}, unavailable(err)
	}
	p, err := look(v, in)
	if (errors.Is(err, ErrUnknownKey) || errors.Is(err, ErrUnknownSigner)) && !c.Doubtful {
		p, err = k.lookCurrent(ctx, in)
	}
	if err == nil && k.opts.Used != nil {
		k.opts.Used(p.KeyID, k.opts.NowMs())
	}
	return p, err
}

// reader gives what finds out in a state who credentials belong to.
func (k *Keys) reader(c Credentials) (func(*state.View) (Proof, error), error) {
	switch {
	case c.Malformed:
		return nil, ErrMalformed
	case c.Key == "":
		return nil, ErrMissing
	case IsToken(c.Key):
		t, err := parseToken(c.Key)
		if err != nil {
			return nil, err
		}
		return func(v *state.View) (Proof, error) { return k.proveToken(v, t) }, nil
	case len(c.Key) > MaxKeyBytes:
		return nil, ErrMalformed
	}
	hash := HashKey(c.Key)
	return func(v *state.View) (Proof, error) { return k.proveKey(v, hash) }, nil
}

// look finds out in a view, which it closes.
func look(v *state.View, in func(*state.View) (Proof, error)) (Proof, error) {
	defer v.Close()
	return in(v)
}

func (k *Keys) lookCurrent(ctx context.Context, in func(*state.View) (Proof, error)) (Proof, error) {
	defer k.inQueue.Add(-1)
	if k.inQueue.Add(1) > int64(2*k.opts.MaxConfirmations) {
		return Proof{}, fmt.Errorf("%w: too many unknown keys", ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, k.opts.ConfirmTimeout)
	defer cancel()
	select {
	case k.confirm <- struct{}{}:
		defer func() { <-k.confirm }()
	case <-ctx.Done():
	}
	// Of a free place and a passed deadline select may take either.
	if err := ctx.Err(); err != nil {
		return Proof{}, unavailable(err)
	}
	v, err := k.opts.Current(ctx)
	if err != nil {
		return Proof{}, unavailable(err)
	}
	return look(v, in)
}

// proveKey finds out in a state whose an API key is.
func (k *Keys) proveKey(v *state.View, hash []byte) (Proof, error) {
	rec, revision, ok, err := v.APIKey(hash)
	switch {
	case err != nil:
		return Proof{}, unavailable(err)
	case !ok:
		return Proof{}, ErrUnknownKey
	case rec.RevokedMs != 0:
		return Proof{}, ErrRevokedKey
	case rec.ExpiresMs != 0 && max(k.opts.NowMs(), v.TimeMs) >= rec.ExpiresMs:
		return Proof{}, ErrExpiredKey
	}
	return Proof{
		Principal: authz.Principal{
			ID: rec.PrincipalID(), Name: rec.Name, Tenant: rec.Tenant, Groups: rec.Groups, KeyID: rec.Id,
			Proof: authz.ProofKey, Type: authz.TypeService, BreakGlass: rec.BreakGlass,
			Evidence: []authz.Evidence{{Key: state.APIKeyKey(hash), Revision: revision}},
		},
		EndsMs: rec.ExpiresMs,
	}, nil
}

// Recheck proves on what this node has shown that a principal's evidence still
// holds. After a linearizable read that has everything acknowledged before the
// read began, so a right that was taken away before is not used after.
func (k *Keys) Recheck(ctx context.Context, p authz.Principal) error {
	v, err := k.opts.Proven(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer v.Close()
	for _, e := range p.Evidence {
		got, ok, err := v.Get(e.Key)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if !ok || got.Revision != e.Revision {
			return ErrChanged
		}
	}
	return nil
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }
