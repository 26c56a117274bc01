package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/authz/authn/oidc"
)

// withTokens takes tokens of identity providers beside what is taken already, where
// there are such providers. None of them is asked before a token comes, so that a node
// starts without them.
func (a *App) withTokens(others serve.Authenticator) (serve.Authenticator, error) {
	c := a.config.OIDC
	if len(c.Issuers) == 0 {
		return others, nil
	}
	authorities, err := issuerAuthorities(c.CAFile)
	if err != nil {
		return nil, err
	}
	a.issuers = oidc.NewClient(authorities)
	tokens, err := oidc.New(oidc.Options{
		Issuers:   c.Issuers,
		Audiences: c.Audiences,
		Mapping: oidc.Mapping{
			Tenant: c.TenantClaim, Groups: c.GroupsClaim, Names: c.GroupsMap, Type: c.TypeClaim, Types: c.TypeMap,
		},
		Client: a.issuers,
		Logger: a.logger.With(slog.String("room", "oidc")),
	})
	if err != nil {
		return nil, err
	}
	a.undo.add("asking identity providers", func(context.Context) error { tokens.Close(); return nil })
	return authn.WithTokens{Authenticator: others, Tokens: tokens}, nil
}

// issuerAuthorities reads the authorities of issuers' certificates; nil, which are the
// machine's, where no file has them.
func issuerAuthorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("oidc-ca: %w", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		return nil, errors.New("oidc-ca: the file holds no certificate")
	}
	return authorities, nil
}
