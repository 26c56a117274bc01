package app

import (
	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/internal/config"
)

// proxies are those whose word on where a request comes from is taken.
func (a *App) proxies() middleware.Proxies {
	p := middleware.Proxies{Trusted: a.config.Walls.TrustedProxies, Header: middleware.ForwardedFor}
	if a.config.Walls.ForwardedHeader == config.Forwarded {
		p.Header = middleware.Forwarded
	}
	return p
}

// rates bound how often is asked. Each node enforces its part of what the cluster
// allows: those that live share it.
func (a *App) rates() (*middleware.Rates, error) {
	return middleware.NewRates(middleware.RateOptions{
		PerPrincipal: a.config.Walls.PrincipalRate,
		PerAddress:   a.config.Walls.AddressRate,
		Failures:     a.config.Walls.FailureRate,
		Nodes:        a.node.Living,
		Limited:      a.metrics.RateLimited,
	})
}
