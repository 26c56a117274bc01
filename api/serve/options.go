package serve

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Authenticator finds out who asks.
type Authenticator interface {
	// Authenticate returns who the credentials belong to.
	Authenticate(ctx context.Context, c authn.Credentials) (authz.Principal, error)
	// Recheck proves that what an earlier answer rested on still holds.
	Recheck(ctx context.Context, p authz.Principal) error
}

// Options are what the handler is made of.
type Options struct {
	// Authenticator and Authorizer are required.
	Authenticator Authenticator
	Authorizer    Authorizer
	// Audit is told what was decided and done; nil is nobody.
	Audit Auditor
	// NodeID is shown in each answer. Required.
	NodeID string
	Logger *slog.Logger
	Events middleware.Events
	// Ready tells why this node should get no requests; nil is a node that
	// always should.
	Ready func() error
	// Warnings are what is not as it should be while the node is ready, in words that
	// anybody may read. Nil has none.
	Warnings func() []string
	// Metrics answers /metrics; nil leaves that path out.
	Metrics http.Handler
	// Open are further operations that are answered to everybody.
	Open []OpenRoute
	// Proxies are those whose word on where a request comes from is taken.
	Proxies middleware.Proxies
	// Origins are those whose pages may speak to this node from a browser.
	Origins []string
	// Rates bounds how often is asked; nil does not.
	Rates *middleware.Rates
	// ReadRestrictions tells that what policies restrict of a table is handed out to
	// clients that keep to it. Without it nobody is shown such a table.
	ReadRestrictions bool
	// RequestContext hands a request's name on to rooms that keep it in a context
	// of their own.
	RequestContext func(ctx context.Context, requestID string) context.Context

	// Consistency is for reads that do not ask for one. Default linearizable.
	Consistency catalog.Consistency
	// MaxStaleness is what a bounded read tolerates. Default 5 s.
	MaxStaleness time.Duration
	// RequestTimeout is how long a request may take once its body is there.
	// Default 30 s: an election, and a slow object store, fit in.
	RequestTimeout time.Duration
	// BodyTimeout is how long a body may take to arrive. Default 60 s: the largest
	// allowed one over a 10 Mbit/s line.
	BodyTimeout time.Duration
	// BodyStall is how long nothing of a body may arrive. Default 15 s.
	BodyStall time.Duration
	// WriteTimeout is how long a client may take for the answer. Default 5 min.
	WriteTimeout time.Duration
	// WriteStall is how long it may take for a part of it, of 128 KiB. Default 1 min.
	WriteStall time.Duration
	// MaxHeaders bounds the header fields of a request. Default 128.
	MaxHeaders int
	// MaxBodyBytes bounds a request's body. Default 64 MiB: commits of 32 MB are seen.
	MaxBodyBytes int64
	// MaxBodyBytesInFlight bounds all bodies held at one time. Default 512 MiB.
	MaxBodyBytesInFlight int64
	// PackedBytes bounds the compressed documents that are kept. Default 32 MiB: a
	// tenth of what the same documents take as they are.
	PackedBytes int64
	// MaxRequests bounds the reads under way, and as many changes. Default 1024.
	MaxRequests int
}

func (o *Options) complete() error {
	switch {
	case o.Authenticator == nil:
		return errors.New("serve: Authenticator is missing")
	case o.Authorizer == nil:
		return errors.New("serve: Authorizer is missing")
	case o.NodeID == "":
		return errors.New("serve: NodeID is missing")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Audit == nil {
		o.Audit = noAuditor{}
	}
	if o.Rates == nil {
		var err error
		if o.Rates, err = middleware.NewRates(middleware.RateOptions{}); err != nil {
			return err
		}
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	if o.Warnings == nil {
		o.Warnings = func() []string { return nil }
	}
	setDefault(&o.MaxStaleness, 5*time.Second)
	setDefault(&o.RequestTimeout, 30*time.Second)
	setDefault(&o.BodyTimeout, time.Minute)
	setDefault(&o.BodyStall, 15*time.Second)
	setDefault(&o.WriteTimeout, 5*time.Minute)
	setDefault(&o.WriteStall, time.Minute)
	setDefault(&o.MaxHeaders, 128)
	setDefault(&o.MaxBodyBytes, 64<<20)
	setDefault(&o.MaxBodyBytesInFlight, 512<<20)
	setDefault(&o.PackedBytes, 32<<20)
	setDefault(&o.MaxRequests, 1024)
	return nil
}

func setDefault[T ~int | ~int64](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
