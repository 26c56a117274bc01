package config

import (
	"fmt"
	"strings"

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
	}
}

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
	case len(c.OIDC.Issuers) > 0 && !c.Auth:
		return problem("oidc-issuer", "and --auth off contradict each other: remove one")
	}
	return nil
}
