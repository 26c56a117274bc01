// Package authn finds out who asks.
package authn

import (
	"context"
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

	// ErrChanged is returned when what an earlier answer rested on does not hold
	// any more: ask again.
	ErrChanged = errors.New("authn: the credentials changed meanwhile")
	// ErrUnavailable is returned when it can't be told now who asks.
	ErrUnavailable = errors.New("authn: can't verify credentials now")
)

// Reason is a short word for a failure, for metrics.
func Reason(err error) string {
	switch {
	case errors.Is(err, ErrMissing):
		return "missing"
	case errors.Is(err, ErrMalformed):
		return "malformed"
	case errors.Is(err, ErrUnknownKey):
		return "unknown"
	case errors.Is(err, ErrExpiredKey):
		return "expired"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	}
	return "other"
}

// Credentials are what a request brought to prove who asks.
type Credentials struct {
	// Key is an API key; "" is none.
	Key string
	// Malformed tells that there was something that could not be read.
	Malformed bool
	// Doubtful tells that they come from where many came lately that proved nothing:
	// only what this node knows by itself is looked at.
	Doubtful bool
}

// Options are what Keys is made of.
type Options struct {
	// Local gives the state that this node has, however old. Required.
	Local func(context.Context) (*state.View, error)
	// Current gives a state that has everything acknowledged before. Required.
	Current func(context.Context) (*state.View, error)
	// NowMs is the replicated time. It goes on where no command is applied, so
	// keys expire on an idle cluster too. Required.
	NowMs func() uint64
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

// Keys authenticates by API keys in the replicated state.
type Keys struct {
	opts    Options
	confirm chan struct{}
	inQueue atomic.Int64
}

// NewKeys makes an authenticator over the replicated state.
func NewKeys(opts Options) (*Keys, error) {
	if opts.Local == nil || opts.Current == nil || opts.NowMs == nil {
		return nil, errors.New("authn: Local, Current and NowMs are required")
	}
	if opts.MaxConfirmations <= 0 {
		opts.MaxConfirmations = 64
	}
	if opts.ConfirmTimeout <= 0 {
		opts.ConfirmTimeout = 5 * time.Second
	}
	return &Keys{opts: opts, confirm: make(chan struct{}, opts.MaxConfirmations)}, nil
}

// Authenticate returns who the credentials belong to. Its error is
// ErrUnauthenticated, or ErrUnavailable where that can't be found out now.
//
// A key that this node has is good without asking anybody: whoever acts on the
// answer proves by its evidence that it still holds. A key that this node does
// not have may have been made a moment ago on another one, so it is looked up
// once more in a state that is proven current, unless that is doubtful.
func (k *Keys) Authenticate(ctx context.Context, c Credentials) (authz.Principal, error) {
	switch {
	case c.Malformed || len(c.Key) > MaxKeyBytes:
		return authz.Principal{}, ErrMalformed
	case c.Key == "":
		return authz.Principal{}, ErrMissing
	}
	hash := HashKey(c.Key)
	v, err := k.opts.Local(ctx)
	if err != nil {
		return authz.Principal{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	p, err := k.lookup(v, hash)
	if !errors.Is(err, ErrUnknownKey) || c.Doubtful {
		return p, err
	}
	return k.lookupCurrent(ctx, hash)
}

func (k *Keys) lookupCurrent(ctx context.Context, hash []byte) (authz.Principal, error) {
	defer k.inQueue.Add(-1)
	if k.inQueue.Add(1) > int64(2*k.opts.MaxConfirmations) {
		return authz.Principal{}, fmt.Errorf("%w: too many unknown keys", ErrUnavailable)
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
		return authz.Principal{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	v, err := k.opts.Current(ctx)
	if err != nil {
		return authz.Principal{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return k.lookup(v, hash)
}

// lookup looks a key up in a view, which it closes.
func (k *Keys) lookup(v *state.View, hash []byte) (authz.Principal, error) {
	defer v.Close()
	rec, revision, ok, err := v.APIKey(hash)
	switch {
	case err != nil:
		return authz.Principal{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case !ok:
		return authz.Principal{}, ErrUnknownKey
	case rec.ExpiresMs != 0 && max(k.opts.NowMs(), v.TimeMs) >= rec.ExpiresMs:
		return authz.Principal{}, ErrExpiredKey
	}
	return authz.Principal{
		ID: rec.Id, Name: rec.Name, Tenant: rec.Tenant, Groups: rec.Groups, Proof: authz.ProofKey,
		Evidence: []authz.Evidence{{Key: state.APIKeyKey(hash), Revision: revision}},
	}, nil
}

// Recheck proves on this node's state that a principal's evidence still holds.
// After a linearizable read that state has everything acknowledged before the
// read began, so a right that was taken away before is not used after.
func (k *Keys) Recheck(ctx context.Context, p authz.Principal) error {
	v, err := k.opts.Local(ctx)
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
