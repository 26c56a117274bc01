package authn

import (
	"context"
	"strings"

	"github.com/floeberg/floeberg/authz"
)

// MaxTokenBytes is the longest token that is looked at: identity providers put long
// lists of groups into them, and servers take no longer headers.
const MaxTokenBytes = 16 << 10

// TokenError is returned when a token proves nothing. It is ErrUnauthenticated.
type TokenError struct {
	// Word is why, for metrics: one of a few.
	Word string
	// Err is why, for the log.
	Err error
}

// Error implements error.
func (e *TokenError) Error() string {
	return ErrUnauthenticated.Error() + ": " + e.Word + ": " + e.Err.Error()
}

// Unwrap makes it an ErrUnauthenticated.
func (e *TokenError) Unwrap() []error { return []error{ErrUnauthenticated, e.Err} }

// Authenticator finds out who asks.
type Authenticator interface {
	// Authenticate returns who the credentials belong to.
	Authenticate(ctx context.Context, c Credentials) (authz.Principal, error)
	// Recheck proves that what an earlier answer rested on still holds.
	Recheck(ctx context.Context, p authz.Principal) error
}

// Tokens finds out who a signed token speaks of.
type Tokens interface {
	// Authenticate returns who that is.
	Authenticate(ctx context.Context, c Credentials) (authz.Principal, error)
}

// WithTokens takes signed tokens beside API keys. Which of the two is presented shows by its
// form alone, so that nothing is tried twice.
type WithTokens struct {
	// Authenticator is for all that is no token of an identity provider, and proves that what it answered
	// still holds. A token's answer rests on no state.
	Authenticator
	Tokens Tokens
}

// Authenticate returns who the credentials belong to.
func (w WithTokens) Authenticate(ctx context.Context, c Credentials) (authz.Principal, error) {
	if !c.Malformed && signed(c.Key) && !IsGiven(c.Key) {
		return w.Tokens.Authenticate(ctx, c)
	}
	return w.Authenticator.Authenticate(ctx, c)
}

// signed tells whether text has the form of a JSON Web Token: a JSON object in
// base64, and two more parts. No API key has: minted ones begin otherwise and hold no dots.
func signed(text string) bool {
	return strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2
}
