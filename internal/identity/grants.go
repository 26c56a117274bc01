package identity

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/floeberg/floeberg/authz/authn"
)

// The refusals of a token. What exactly was wrong is in what they wrap, and for
// metrics only.
var (
	// ErrInvalidClient is returned when a client's credentials prove nothing.
	ErrInvalidClient = errors.New("identity: invalid client")
	// ErrInvalidGrant is returned when what a token is to be given for is worth nothing.
	ErrInvalidGrant = errors.New("identity: invalid grant")
)

// ClientCredentials are what a client proves itself with: the id and the secret of an
// API key, or the secret alone.
type ClientCredentials struct {
	ID, Secret string
	// Doubtful is that of authn.Credentials.
	Doubtful bool
}

// Prover finds out who credentials belong to.
type Prover interface {
	// Prove returns who, and for how long it holds.
	Prove(ctx context.Context, c authn.Credentials) (authn.Proof, error)
}

// Signer signs tokens.
type Signer interface {
	// Issue signs a token for who has proven itself.
	Issue(ctx context.Context, p authn.Proof) (*authn.Token, error)
}

// Grants gives short-lived tokens for API keys, and for tokens that are about to
// expire.
type Grants struct {
	prover Prover
	signer Signer
}

// NewGrants makes them.
func NewGrants(prover Prover, signer Signer) (*Grants, error) {
	if prover == nil || signer == nil {
		return nil, errors.New("identity: a prover and a signer are required")
	}
	return &Grants{prover: prover, signer: signer}, nil
}

// ForCredentials gives a token for an API key.
func (g *Grants) ForCredentials(ctx context.Context, c ClientCredentials) (*authn.Token, error) {
	p, err := g.client(ctx, c)
	if err != nil {
		return nil, err
	}
	return g.issue(ctx, p, ErrInvalidClient)
}

// ForToken gives a token in the place of another one, or of an API key. Where the
// client proves itself too, the other one may be too old to prove anything, as it is when
// a client comes back to it after a pause; it must only be the client's own.
func (g *Grants) ForToken(ctx context.Context, subject authn.Credentials, c *ClientCredentials) (*authn.Token, error) {
	// A provider's is good here to its end, and renewed where it comes from: what was
	// exchanged for it could be exchanged for ever.
	if authn.IsToken(subject.Key) && !authn.IsGiven(subject.Key) {
		return nil, refusedAs(ErrInvalidGrant, authn.ErrForeignToken)
	}
	p, err := g.prover.Prove(ctx, subject)
	if c == nil {
		if err != nil {
			return nil, refusedAs(ErrInvalidGrant, err)
		}
		return g.issue(ctx, p, ErrInvalidGrant)
	}
	own, clientErr := g.client(ctx, *c)
	if clientErr != nil {
		return nil, clientErr
	}
	whose := p.ID
	switch {
	case errors.Is(err, authn.ErrUnauthenticated):
		whose = authn.TokenSubject(subject.Key)
	case err != nil:
		return nil, err
	}
	if whose != own.ID {
		return nil, refusedAs(ErrInvalidGrant, authn.ErrOthersToken)
	}
	return g.issue(ctx, own, ErrInvalidClient)
}

// client proves a client by its key. A token is no credential: it would never expire.
func (g *Grants) client(ctx context.Context, c ClientCredentials) (authn.Proof, error) {
	if authn.IsToken(c.Secret) {
		return authn.Proof{}, refusedAs(ErrInvalidClient, authn.ErrMalformed)
	}
	p, err := g.prover.Prove(ctx, authn.Credentials{Key: c.Secret, Doubtful: c.Doubtful})
	if err != nil {
		return authn.Proof{}, refusedAs(ErrInvalidClient, err)
	}
	if c.ID != "" && subtle.ConstantTimeCompare([]byte(c.ID), []byte(p.KeyID)) != 1 {
		return authn.Proof{}, refusedAs(ErrInvalidClient, authn.ErrUnknownKey)
	}
	return p, nil
}

func (g *Grants) issue(ctx context.Context, p authn.Proof, refusal error) (*authn.Token, error) {
	t, err := g.signer.Issue(ctx, p)
	if err != nil {
		return nil, refusedAs(refusal, err)
	}
	return t, nil
}

// refusedAs makes an error that says nothing of who asks a refusal of some kind, and
// leaves others as they are: those are for another time.
func refusedAs(kind, err error) error {
	if errors.Is(err, authn.ErrUnauthenticated) {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}
