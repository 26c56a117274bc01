package middleware

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
)

// ErrTooMany is returned when somebody asks more often than it may: nothing was begun.
var ErrTooMany = errors.New("too many requests")

// RateError is an ErrTooMany that says for how long.
type RateError struct {
	// Limit names the limit, in words for people.
	Limit string
	// Wait is when the next request will be taken.
	Wait time.Duration
}

// Error implements error.
func (e *RateError) Error() string {
	return fmt.Sprintf("Too many %s; nothing was changed, try again in %d s", e.Limit, e.Seconds())
}

// Unwrap makes it an ErrTooMany.
func (e *RateError) Unwrap() error { return ErrTooMany }

// Seconds is the time to wait as the header Retry-After has it: whole, and never
// none at all.
func (e *RateError) Seconds() int { return wholeSeconds(e.Wait) }

func wholeSeconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }

// The names of the limits, in metrics and headers.
const (
	LimitPrincipal = "principal"
	LimitAddress   = "address"
	LimitFailures  = "failures"
)

// rateWindow is for how long a limit may be used up in advance: work comes in
// bursts, a planner's above all.
const rateWindow = 10 * time.Second

// RateOptions are how often may be asked, each in requests a second for the whole
// cluster; 0 does not bound it.
type RateOptions struct {
	// PerPrincipal is for who asks, PerAddress for where it comes from.
	PerPrincipal, PerAddress int
	// Failures is how often one address may present what proves nothing. Past that it
	// is told to wait, and what it presents is not looked for at other nodes any more;
	// who has something good gets in all the same, so that nobody can lock out those
	// with whom it shares a proxy.
	Failures int
	// Nodes is how many share the limits: each enforces its part. Nil is one.
	Nodes func() int
	// Keys is how many principals, and as many addresses, are remembered. Default
	// 65,536: ten megabytes. Who is forgotten begins anew.
	Keys int
	// Now is the time. Default time.Now.
	Now func() time.Time
	// Limited is told of each refusal; nil is nobody.
	Limited func(limit string)
}

// Rates bounds how often is asked.
type Rates struct {
	opts       RateOptions
	principals *buckets[string]
	addresses  *buckets[netip.Prefix]
	failures   *buckets[netip.Prefix]
}

// NewRates makes the limits of one node.
func NewRates(opts RateOptions) (*Rates, error) {
	if opts.Nodes == nil {
		opts.Nodes = func() int { return 1 }
	}
	if opts.Keys <= 0 {
		opts.Keys = 1 << 16
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Limited == nil {
		opts.Limited = func(string) {}
	}
	share := &share{nodes: opts.Nodes}
	r := &Rates{opts: opts}
	var err error
	if r.principals, err = newBuckets[string](opts.PerPrincipal, opts.Keys, share); err != nil {
		return nil, err
	}
	if r.addresses, err = newBuckets[netip.Prefix](opts.PerAddress, opts.Keys, share); err != nil {
		return nil, err
	}
	r.failures, err = newBuckets[netip.Prefix](opts.Failures, opts.Keys, share)
	return r, err
}

// LimitAddresses counts requests by the address that they come from, but for
// those of exempt routes: whoever asks whether a node lives must be told.
func (r *Rates) LimitAddresses(exempt ...string) gin.HandlerFunc {
	free := make(map[string]bool, len(exempt))
	for _, route := range exempt {
		free[route] = true
	}
	return func(c *gin.Context) {
		if free[c.FullPath()] {
			c.Next()
			return
		}
		q, limited := r.addresses.take(Block(Client(c.Request.Context())), r.opts.Now())
		if limited && q.wait > 0 {
			q.show(c.Writer.Header(), LimitAddress)
			Fail(c, r.refuse(LimitAddress, "requests from this address", q.wait))
			return
		}
		c.Next()
	}
}

// LimitPrincipal counts a request of who asks, and says in the answer's headers
// how many more there may be.
func (r *Rates) LimitPrincipal(h http.Header, id string) error {
	q, limited := r.principals.take(id, r.opts.Now())
	if !limited {
		return nil
	}
	q.show(h, LimitPrincipal)
	if q.wait > 0 {
		return r.refuse(LimitPrincipal, "requests by "+id, q.wait)
	}
	return nil
}

// Failed counts something that proved nothing, and returns the reason to wait where
// there was too much of that from this address.
func (r *Rates) Failed(from netip.Addr) error {
	if q, limited := r.failures.take(Block(from), r.opts.Now()); limited && q.wait > 0 {
		return r.refuse(LimitFailures, "failed attempts to authenticate from this address", q.wait)
	}
	return nil
}

// Doubtful tells whether an address has failed so often lately that it is not worth
// asking other nodes about what it presents.
func (r *Rates) Doubtful(from netip.Addr) bool {
	return r.failures.empty(Block(from), r.opts.Now())
}

func (r *Rates) refuse(limit, words string, wait time.Duration) error {
	r.opts.Limited(limit)
	return &RateError{Limit: words, Wait: wait}
}

// show writes what is left as RateLimit and RateLimit-Policy have it
// (draft-ietf-httpapi-ratelimit-headers-10): the part of this node.
func (q quota) show(h http.Header, policy string) {
	name := strconv.Quote(policy)
	h.Set("RateLimit-Policy", fmt.Sprintf("%s;q=%d;w=%d", name, q.most, wholeSeconds(q.window)))
	h.Set("RateLimit", fmt.Sprintf("%s;r=%d;t=%d", name, q.left, wholeSeconds(q.full)))
}
