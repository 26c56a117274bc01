package middleware

import (
	"net/http"
	"strings"

	"github.com/floeberg/floeberg/authz/authn"
)

// APIKeyHeader carries an API key where Authorization is somebody else's.
const APIKeyHeader = "X-Api-Key"

// Credentials reads who a request says it comes from: a Bearer token first, as
// Iceberg clients send it, else the key's own header. Another scheme in
// Authorization is a proxy's and none of ours. The client's certificate comes along
// where it was verified.
func Credentials(r *http.Request) authn.Credentials {
	c := presented(r)
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		c.Certificate = r.TLS.PeerCertificates[0]
	}
	return c
}

func presented(r *http.Request) authn.Credentials {
	bearer, keys := r.Header.Values("Authorization"), r.Header.Values(APIKeyHeader)
	if len(bearer) > 1 || len(keys) > 1 {
		return authn.Credentials{Malformed: true}
	}
	if len(bearer) == 1 {
		scheme, token, _ := strings.Cut(strings.TrimSpace(bearer[0]), " ")
		if strings.EqualFold(scheme, "Bearer") {
			token = strings.TrimSpace(token)
			return authn.Credentials{Key: token, Malformed: token == ""}
		}
		if len(keys) == 0 && scheme != "" {
			return authn.Credentials{Malformed: true}
		}
	}
	if len(keys) == 1 {
		return authn.Credentials{Key: strings.TrimSpace(keys[0])}
	}
	return authn.Credentials{}
}
