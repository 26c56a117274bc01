package app

import (
	"time"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz/authn"
)

// withCertificates takes clients' certificates beside what is taken already, where
// they are to name who asks.
func (a *App) withCertificates(others serve.Authenticator) serve.Authenticator {
	if a.config.ClientName == "" {
		return others
	}
	return authn.WithCertificates{
		Authenticator: others, Name: authn.CertificateName(a.config.ClientName), Groups: a.config.ClientGroups, Now: time.Now,
	}
}
