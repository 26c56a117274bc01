package authn

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/floeberg/floeberg/fsm/state"
)

// signFor is how long a node signs with one key. It is made when it is first needed,
// and anew by each process: a node that signs nothing writes nothing.
const signFor = 24 * time.Hour

// IssuerOptions are what an Issuer is made of.
type IssuerOptions struct {
	// Node is who signs. Required.
	Node string
	// ClusterID is the cluster's, "" where it is not known yet. Required.
	ClusterID func() string
	// Local gives the state that this node has, however old. Required.
	Local func(context.Context) (*state.View, error)
	// Publish writes what signatures are checked with into the state of all nodes. Required.
	Publish func(ctx context.Context, id string, key *state.SigningKey) error
	// NowMs is the replicated time. Required.
	NowMs func() uint64
	// Lifetime is how long a token is good. Default an hour.
	Lifetime time.Duration
}

// Issuer signs tokens. What it signs with is in memory only, and never in the state,
// its log or a backup: whoever reads those can make no token.
type Issuer struct {
	opts IssuerOptions
	turn chan struct{} // holds one token while nobody looks at current
	// current is what this node signs with; nil before the first token.
	current *signingKey
}

type signingKey struct {
	id     string
	secret ed25519.PrivateKey
	record *state.SigningKey
	until  uint64
}

// Token is a signed token.
type Token struct {
	Text string
	// Lifetime is how long it is good from now on.
	Lifetime time.Duration
	// Principal is whom it stands for.
	Principal string
}

// NewIssuer makes one.
func NewIssuer(opts IssuerOptions) (*Issuer, error) {
	if opts.Node == "" || opts.ClusterID == nil || opts.Local == nil || opts.Publish == nil || opts.NowMs == nil {
		return nil, errors.New("authn: Node, ClusterID, Local, Publish and NowMs are required")
	}
	if opts.Lifetime <= 0 {
		opts.Lifetime = time.Hour
	}
	i := &Issuer{opts: opts, turn: make(chan struct{}, 1)}
	i.turn <- struct{}{}
	return i, nil
}

// Issue signs a token for who has proven itself. It ends with what proved it, if
// that is before its time. The error is ErrUnavailable where it can't be signed now.
func (i *Issuer) Issue(ctx context.Context, p Proof) (*Token, error) {
	cluster := i.opts.ClusterID()
	if cluster == "" {
		return nil, unavailable(errors.New("the cluster has no identity yet"))
	}
	now := i.opts.NowMs()
	ends := now + uint64(i.opts.Lifetime.Milliseconds())
	if p.EndsMs != 0 {
		ends = min(ends, p.EndsMs)
	}
	expires := int64(ends / 1000)
	lifetime := time.Duration(expires*1000-int64(now)) * time.Millisecond
	if lifetime <= 0 {
		return nil, ErrExpiredKey
	}
	key, err := i.signing(ctx, now)
	if err != nil {
		return nil, unavailable(err)
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: key.secret, KeyID: key.id}},
		(&jose.SignerOptions{}).WithType("JWT"),
	)
	if err != nil {
		return nil, err
	}
	text, err := jwt.Signed(signer).Claims(claims{
		Issuer: issuerOf(cluster), Subject: p.ID, KeyID: p.KeyID, Issued: int64(now / 1000), Expires: expires, ID: rand.Text(),
	}).Serialize()
	if err != nil {
		return nil, err
	}
	return &Token{Text: text, Lifetime: lifetime, Principal: p.ID}, nil
}

// signing gives what to sign with: known to the state, and not for longer than it may.
func (i *Issuer) signing(ctx context.Context, nowMs uint64) (*signingKey, error) {
	select {
	case <-i.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { i.turn <- struct{}{} }()
	if i.current == nil || nowMs >= i.current.until {
		key, err := i.newSigningKey(nowMs)
		if err != nil {
			return nil, err
		}
		i.current = key
	}
	// It may be missing although it was there: where a backup has taken the state's place.
	known, err := i.known(ctx, i.current.id)
	if err != nil {
		return nil, err
	}
	if !known {
		if err := i.opts.Publish(ctx, i.current.id, i.current.record); err != nil {
			return nil, err
		}
	}
	return i.current, nil
}

func (i *Issuer) newSigningKey(nowMs uint64) (*signingKey, error) {
	public, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	var id [12]byte
	_, _ = rand.Read(id[:]) // never fails
	until := nowMs + uint64(signFor.Milliseconds())
	return &signingKey{
		id: base64.RawURLEncoding.EncodeToString(id[:]), secret: secret, until: until,
		record: &state.SigningKey{
			PublicKey: public, Node: i.opts.Node, CreatedMs: nowMs, ExpiresMs: until + uint64(i.opts.Lifetime.Milliseconds()),
		},
	}, nil
}

func (i *Issuer) known(ctx context.Context, id string) (bool, error) {
	v, err := i.opts.Local(ctx)
	if err != nil {
		return false, err
	}
	defer v.Close()
	_, _, ok, err := v.SigningKey(id)
	return ok, err
}
