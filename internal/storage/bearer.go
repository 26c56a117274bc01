package storage

import (
	"context"
	"sync"
	"time"
)

// tokenMargin is how long before its end a token is no longer used: a request
// that was signed with it may be under way for a while.
const tokenMargin = 5 * time.Minute

// bearer keeps the token that requests carry, and fetches another one when it
// comes to its end.
type bearer struct {
	fetch func(ctx context.Context) (token string, expires time.Time, err error)

	mu      sync.Mutex
	token   string
	expires time.Time
}

// get gives a token that is good for a while. Who waits for another's fetch waits
// no longer than that may take.
func (b *bearer) get(ctx context.Context) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.token != "" && time.Until(b.expires) > 0 {
		return b.token, nil
	}
	token, expires, err := b.fetch(ctx)
	if err != nil {
		return "", err
	}
	// Some issuers give tokens that are short-lived or half through already.
	margin := min(tokenMargin, time.Until(expires)/2)
	b.token, b.expires = token, expires.Add(-margin)
	return token, nil
}

// drop forgets the token, which the store did not take.
func (b *bearer) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.token = ""
}
