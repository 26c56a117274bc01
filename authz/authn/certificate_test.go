package authn_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
)

// others answers for what is no certificate.
type others struct{}

func (others) Authenticate(_ context.Context, c authn.Credentials) (authz.Principal, error) {
	if c.Malformed {
		return authz.Principal{}, authn.ErrMalformed
	}
	if c.Key == "" {
		return authz.Principal{}, authn.ErrMissing
	}
	return authz.Principal{ID: "key " + c.Key}, nil
}

func (others) Recheck(context.Context, authz.Principal) error { return nil }

func TestCertificatesNameWhoAsks(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	uri := func(text string) *url.URL {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	cert := func(change func(*x509.Certificate)) *x509.Certificate {
		c := &x509.Certificate{
			NotAfter: now.Add(time.Hour), Subject: pkix.Name{CommonName: "spark"},
			DNSNames: []string{"spark.lake"}, EmailAddresses: []string{"spark@lake.example"}, URIs: []*url.URL{uri("spiffe://lake/spark")},
		}
		if change != nil {
			change(c)
		}
		return c
	}
	for name, tc := range map[string]struct {
		part authn.CertificateName
		show authn.Credentials
		id   string // "" is refused
		word string
	}{
		"common name":       {authn.NameCommon, authn.Credentials{Certificate: cert(nil)}, "cert:cn:spark", ""},
		"DNS":               {authn.NameDNS, authn.Credentials{Certificate: cert(nil)}, "cert:dns:spark.lake", ""},
		"mail":              {authn.NameEmail, authn.Credentials{Certificate: cert(nil)}, "cert:email:spark@lake.example", ""},
		"URI":               {authn.NameURI, authn.Credentials{Certificate: cert(nil)}, "cert:uri:spiffe://lake/spark", ""},
		"no common name":    {authn.NameCommon, authn.Credentials{Certificate: cert(func(c *x509.Certificate) { c.Subject.CommonName = "" })}, "", "certificate"},
		"no URI":            {authn.NameURI, authn.Credentials{Certificate: cert(func(c *x509.Certificate) { c.URIs = nil })}, "", "certificate"},
		"several":           {authn.NameDNS, authn.Credentials{Certificate: cert(func(c *x509.Certificate) { c.DNSNames = []string{"a", "spark"} })}, "", "certificate"},
		"what is not seen":  {authn.NameCommon, authn.Credentials{Certificate: cert(func(c *x509.Certificate) { c.Subject.CommonName = "spark\u200b" })}, "", "certificate"},
		"its time is over":  {authn.NameCommon, authn.Credentials{Certificate: cert(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) })}, "", "certificate"},
		"a key goes before": {authn.NameCommon, authn.Credentials{Key: "k", Certificate: cert(nil)}, "key k", ""},
		"malformed":         {authn.NameCommon, authn.Credentials{Malformed: true, Certificate: cert(nil)}, "", "malformed"},
		"nothing":           {authn.NameCommon, authn.Credentials{}, "", "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := authn.WithCertificates{
				Authenticator: others{}, Name: tc.part, Groups: map[string][]string{"spark": {"writer"}}, Now: func() time.Time { return now },
			}
			p, err := w.Authenticate(t.Context(), tc.show)
			if p.ID != tc.id || (err == nil) != (tc.id != "") || err != nil && authn.Reason(err) != tc.word {
				t.Errorf("%+v, %v", p, err)
			}
			want := authz.PrincipalType("")
			switch {
			case strings.HasPrefix(tc.id, "cert:email:"):
				want = authz.TypeUser
			case strings.HasPrefix(tc.id, "cert:"):
				want = authz.TypeService
			}
			if p.Type != want {
				t.Errorf("it is a %q, not a %q", p.Type, want)
			}
			var groups []string
			if tc.id == "cert:cn:spark" {
				groups = []string{"writer"}
			}
			if diff := cmp.Diff(groups, p.Groups); diff != "" {
				t.Error(diff)
			}
		})
	}
}
