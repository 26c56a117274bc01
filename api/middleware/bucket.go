package middleware

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

// share is how many nodes a limit is divided among. It is asked for once a second
// and not by each request.
type share struct {
	nodes func() int
	known atomic.Int64
	next  atomic.Int64 // when it is asked for again, in Unix nanoseconds
}

func (s *share) of(now time.Time) int {
	at := now.UnixNano()
	if next := s.next.Load(); at >= next && s.next.CompareAndSwap(next, at+int64(time.Second)) {
		s.known.Store(int64(max(1, s.nodes())))
	}
	return max(1, int(s.known.Load()))
}

// buckets is one token bucket for each key, for those that asked lately or often.
type buckets[K comparable] struct {
	perSecond int
	share     *share
	kept      *otter.Cache[K, *rate.Limiter]
}

// newBuckets makes buckets that fill with perSecond tokens a second, on all nodes
// together; 0 bounds nothing.
func newBuckets[K comparable](perSecond, keys int, share *share) (*buckets[K], error) {
	b := &buckets[K]{perSecond: perSecond, share: share}
	if perSecond <= 0 {
		return b, nil
	}
	var err error
	b.kept, err = otter.New(&otter.Options[K, *rate.Limiter]{MaximumSize: keys})
	return b, err
}

// quota is what a bucket holds.
type quota struct {
	most, left   int
	window, full time.Duration // the time to fill it: an empty one, and this one
	// wait is the time until the next token; 0 means that one was taken.
	wait time.Duration
}

// take takes a token of a key's bucket; limited is not set where there is no limit.
func (b *buckets[K]) take(key K, now time.Time) (q quota, limited bool) {
	if b.kept == nil {
		return quota{}, false
	}
	limit, most := b.part(now)
	bucket, _ := b.kept.ComputeIfAbsent(key, func() (*rate.Limiter, bool) { return rate.NewLimiter(limit, most), false })
	if bucket.Limit() != limit {
		bucket.SetLimitAt(now, limit)
		bucket.SetBurstAt(now, most)
	}
	taken := bucket.AllowN(now, 1)
	tokens := bucket.TokensAt(now)
	after := func(missing float64) time.Duration {
		return time.Duration(max(0, missing) / float64(limit) * float64(time.Second))
	}
	q = quota{most: most, left: max(0, int(tokens)), window: after(float64(most)), full: after(float64(most) - tokens)}
	if !taken {
		q.left, q.wait = 0, max(time.Nanosecond, after(1-tokens))
	}
	return q, true
}

// empty tells whether a key's bucket has no token, and takes none.
func (b *buckets[K]) empty(key K, now time.Time) bool {
	if b.kept == nil {
		return false
	}
	bucket, ok := b.kept.GetIfPresent(key)
	return ok && bucket.TokensAt(now) < 1
}

// part is this node's part of the limit. Where there are more nodes than requests
// a second, each has a slow trickle, and never nothing.
func (b *buckets[K]) part(now time.Time) (perSecond rate.Limit, most int) {
	each := float64(b.perSecond) / float64(b.share.of(now))
	return rate.Limit(each), max(1, int(math.Ceil(each*rateWindow.Seconds())))
}
