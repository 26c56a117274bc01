package authn

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/floeberg/floeberg/authz"
)

// CertificateName is the part of a certificate that names who holds it.
type CertificateName string

// The parts.
const (
	// NameCommon is the subject's common name.
	NameCommon CertificateName = "cn"
	// NameDNS, NameEmail and NameURI are the one subject alternative name of that kind.
	NameDNS   CertificateName = "dns"
	NameEmail CertificateName = "email"
	NameURI   CertificateName = "uri"
)

// holder is what is named like this: who has an address for mail is a person.
func (n CertificateName) holder() authz.PrincipalType {
	if n == NameEmail {
		return authz.TypeUser
	}
	return authz.TypeService
}

// wordCertificate is why a certificate was refused, for metrics.
const wordCertificate = "certificate"

// WithCertificates takes client certificates, which the listener has verified, beside
// what else is presented. A key goes before: what comes through a proxy with a
// certificate of its own is not the proxy's.
type WithCertificates struct {
	// Authenticator is for all who present something else. A certificate's answer rests
	// on no state.
	Authenticator
	// Name is the part that names the principal.
	Name CertificateName
	// Groups are those of each name. Others have none.
	Groups map[string][]string
	// Now is the time. Required.
	Now func() time.Time
}

// Authenticate returns who the credentials belong to.
func (w WithCertificates) Authenticate(ctx context.Context, c Credentials) (authz.Principal, error) {
	if c.Certificate == nil || c.Key != "" || c.Malformed {
		return w.Authenticator.Authenticate(ctx, c)
	}
	// Connections may stay open for longer.
	if w.Now().After(c.Certificate.NotAfter) {
		return authz.Principal{}, &TokenError{Word: wordCertificate, Err: errors.New("its time is over")}
	}
	name, err := w.name(c.Certificate)
	if err != nil {
		return authz.Principal{}, &TokenError{Word: wordCertificate, Err: err}
	}
	return authz.Principal{
		ID: "cert:" + string(w.Name) + ":" + name, Name: name, Groups: w.Groups[name], Proof: authz.ProofCertificate, Type: w.Name.holder(),
	}, nil
}

var (
	errNoName    = errors.New("it has no such name")
	errManyNames = errors.New("it has several such names: which of them is meant can't be told")
)

func (w WithCertificates) name(cert *x509.Certificate) (string, error) {
	var names []string
	switch w.Name {
	case NameCommon:
		names = []string{cert.Subject.CommonName}
	case NameDNS:
		names = cert.DNSNames
	case NameEmail:
		names = cert.EmailAddresses
	case NameURI:
		for _, u := range cert.URIs {
			names = append(names, u.String())
		}
	}
	switch {
	case len(names) > 1:
		return "", errManyNames
	case len(names) == 0:
		return "", errNoName
	}
	return names[0], CheckName(names[0])
}
