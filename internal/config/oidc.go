package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn/oidc"
)

// OIDC is whose tokens are taken, and what they say.
type OIDC struct {
	// Issuers are whose tokens are taken, Audiences those of which one must be named.
	Issuers, Audiences []string
	// CAFile is the authorities of issuers' certificates; "" is the machine's.
	CAFile string
	// TenantClaim and GroupsClaim name the claims that hold them; "" is none.
	TenantClaim, GroupsClaim string
	// TypeClaim names the claim that tells people from programs; "" is none.
	TypeClaim string
	// TypeMap is what its values stand for.
	TypeMap map[string]authz.PrincipalType
	// GroupsMap is groups of here for groups, or principals by their ids, of there.
	GroupsMap map[string][]string
}

func oidcSettings() []Setting {
	return []Setting{
		{
			Name: "oidc-issuer", Usage: "issuers whose tokens are accepted, as the tokens name them, comma-separated",
			parse: list(func(c *Config) *[]string { return &c.OIDC.Issuers }, oneWord, oidc.CheckURL),
		},
		{
			Name: "oidc-audience", Usage: "audiences of which their tokens must name one, comma-separated",
			parse: list(func(c *Config) *[]string { return &c.OIDC.Audiences }, oneWord),
		},
		{
			Name: "oidc-ca", Note: "the machine's", Usage: "authorities of the issuers' certificates",
			parse: text(func(c *Config) *string { return &c.OIDC.CAFile }, notEmpty),
		},
		{
			Name: "oidc-tenant-claim", Usage: "claim that names the tenant; tokens without it are refused then",
			parse: text(func(c *Config) *string { return &c.OIDC.TenantClaim }, oneWord),
		},
		{
			Name: "oidc-groups-claim", Default: "groups", Usage: "claim that lists groups; dots lead into objects, as in realm_access.roles",
			parse: text(func(c *Config) *string { return &c.OIDC.GroupsClaim }, oneWord),
		},
		{
			Name: "oidc-groups-map", Usage: "groups here for groups or principals there, such as lake-admins=admin,oidc:https://id.example#42=reader: the only way into admin, writer, reader and auditor",
			parse: groupsOf(func(c *Config) *map[string][]string { return &c.OIDC.GroupsMap }, "lake-admins=admin,analysts=reader"),
		},
		{
			Name: "oidc-type-claim", Usage: "claim that says user or service, which policies see as principal.type; tokens without it speak of users, or of Kubernetes' service accounts",
			parse: text(func(c *Config) *string { return &c.OIDC.TypeClaim }, oneWord),
		},
		{
			Name: "oidc-type-map", Usage: "user or service for other values of that claim, such as app=service,person=user; tokens with yet another are refused",
			parse: typesOf(func(c *Config) *map[string]authz.PrincipalType { return &c.OIDC.TypeMap }),
		},
	}
}

// typesOf reads VALUE=user or VALUE=service, comma-separated.
func typesOf(field func(*Config) *map[string]authz.PrincipalType) func(*Config, string) error {
	return func(c *Config, value string) error {
		out := make(map[string]authz.PrincipalType)
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			at := strings.LastIndexByte(item, '=')
			if at < 1 {
				return errTypes
			}
			said, of := item[:at], authz.PrincipalType(item[at+1:])
			if of != authz.TypeUser && of != authz.TypeService {
				return errTypes
			}
			if before, ok := out[said]; ok && before != of {
				return fmt.Errorf("says of %q that it is both", said)
			}
			out[said] = of
		}
		*field(c) = out
		return nil
	}
}

var errTypes = errors.New("expected VALUE=user or VALUE=service, such as app=service")

// groupsOf reads THERE=HERE, comma-separated.
func groupsOf(field func(*Config) *map[string][]string, example string) func(*Config, string) error {
	return func(c *Config, value string) error {
		out := make(map[string][]string)
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			// Names there may hold anything, paths as Keycloak writes them above all.
			at := strings.LastIndexByte(item, '=')
			if at < 1 || at == len(item)-1 || oneWord(item[at+1:]) != nil {
				return fmt.Errorf("expected THERE=HERE, such as %s", example)
			}
			there, here := item[:at], item[at+1:]
			out[there] = append(out[there], here)
		}
		*field(c) = out
		return nil
	}
}

// tokens makes sure that no token is taken that was made for somebody else.
func tokens(c *Config) error {
	switch {
	case len(c.OIDC.Issuers) > 0 && len(c.OIDC.Audiences) == 0:
		return problem("oidc-audience", "is needed beside --oidc-issuer: a token that was made for another service must not be taken")
	case len(c.OIDC.Audiences) > 0 && len(c.OIDC.Issuers) == 0:
		return problem("oidc-issuer", "is needed beside --oidc-audience")
	case len(c.OIDC.TypeMap) > 0 && c.OIDC.TypeClaim == "":
		return problem("oidc-type-claim", "is needed beside --oidc-type-map: name the claim whose values it speaks of")
	case len(c.OIDC.Issuers) > 0 && !c.Auth:
		return problem("oidc-issuer", "and --auth off contradict each other: remove one")
	}
	return nil
}
