package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
)

// maxGroups is more groups than anybody belongs to.
const maxGroups = 512

var errClaimType = errors.New("it is of another type")

// reserved are the groups that have rights from the start. A provider's own group
// of that name was made by somebody who meant something else.
var reserved = map[string]bool{
	authz.GroupAdmin: true, authz.GroupWriter: true, authz.GroupReader: true, authz.GroupAuditor: true,
}

// Mapping says how the claims of a token become a principal.
type Mapping struct {
	// Tenant is the claim that names the tenant; "" is none. A token without it is
	// refused then: who belongs to nobody would be judged by other rules.
	Tenant string
	// Groups is the claim that lists groups; "" is none.
	Groups string
	// Type is the claim that says whether a token speaks of a person or of a program; ""
	// is none. Who has no such claim is a program where Kubernetes says so, else a person.
	Type string
	// Types are what the claim's values say beside authz's own words. A token with
	// another value is refused: whoever it speaks of would be judged by other rules.
	Types map[string]authz.PrincipalType
	// Names are groups of here for groups of a provider's, or for single principals by
	// their ids, which begin with IDPrefix. The groups that have rights from the start are
	// given by these alone.
	Names map[string][]string
}

// IDPrefix begins the ids of principals that tokens speak of.
const IDPrefix = "oidc:"

// claims are those of a token.
type claims map[string]json.RawMessage

// find finds a claim by its name, or, where none has it, by the way to it through
// objects, with dots between names.
func (c claims) find(name string) (json.RawMessage, bool) {
	if raw, ok := c[name]; ok {
		return raw, true
	}
	first, rest, nested := strings.Cut(name, ".")
	raw, ok := c[first]
	if !nested || !ok {
		return nil, false
	}
	var inner claims
	if json.Unmarshal(raw, &inner) != nil {
		return nil, false
	}
	return inner.find(rest)
}

// time reads a claim that is a number of seconds; ok is not set where there is none.
func (c claims) time(name string) (at time.Time, ok bool, err error) {
	raw, ok := c[name]
	if !ok || string(raw) == "null" {
		return time.Time{}, false, nil
	}
	var seconds float64
	if err := json.Unmarshal(raw, &seconds); err != nil {
		return time.Time{}, false, fmt.Errorf("%w: %w", errClaimType, err)
	}
	const most = 1 << 40 // no year that anybody means
	if math.Abs(seconds) > most {
		return time.Time{}, false, fmt.Errorf("%w: %v", errClaimType, seconds)
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*float64(time.Second))), true, nil
}

// principal makes a principal of a token that was proven.
func (m Mapping) principal(issuer, subject string, all claims) (authz.Principal, error) {
	if err := authn.CheckName(subject); err != nil {
		return authz.Principal{}, refuse(wordClaims, "sub: %w", err)
	}
	// An issuer holds no fragment, so the first # ends it: no two principals have one id.
	p := authz.Principal{ID: IDPrefix + issuer + "#" + subject, Name: displayName(subject, all), Proof: authz.ProofOIDC}
	var err error
	if p.Tenant, err = m.tenant(all); err != nil {
		return authz.Principal{}, refuse(wordClaims, "%s: %w", m.Tenant, err)
	}
	if p.Groups, err = m.groups(p.ID, all); err != nil {
		return authz.Principal{}, refuse(wordClaims, "%s: %w", m.Groups, err)
	}
	if p.Type, err = m.principalType(subject, all); err != nil {
		return authz.Principal{}, refuse(wordClaims, "%s: %w", m.Type, err)
	}
	return p, nil
}

// serviceAccounts begins the subjects of programs in Kubernetes.
const serviceAccounts = "system:serviceaccount:"

// principalType is whether a token speaks of a person or of a program.
func (m Mapping) principalType(subject string, all claims) (authz.PrincipalType, error) {
	raw, ok := all.find(m.Type)
	switch {
	case m.Type != "" && ok && string(raw) != "null":
	case strings.HasPrefix(subject, serviceAccounts):
		return authz.TypeService, nil
	default:
		return authz.TypeUser, nil
	}
	var said string
	if err := json.Unmarshal(raw, &said); err != nil {
		return "", fmt.Errorf("%w: %w", errClaimType, err)
	}
	if meant, ok := m.Types[said]; ok {
		return meant, nil
	}
	switch of := authz.PrincipalType(said); of {
	case authz.TypeUser, authz.TypeService:
		return of, nil
	}
	return "", fmt.Errorf("%q stands for no type of principal", said)
}

func (m Mapping) tenant(all claims) (string, error) {
	if m.Tenant == "" {
		return "", nil
	}
	raw, ok := all.find(m.Tenant)
	if !ok {
		return "", authn.ErrNoName
	}
	var tenant string
	if err := json.Unmarshal(raw, &tenant); err != nil {
		return "", fmt.Errorf("%w: %w", errClaimType, err)
	}
	return tenant, authn.CheckName(tenant)
}

// groups are those of a principal: what its token lists, and what stands for that
// here. None at all give no right.
func (m Mapping) groups(id string, all claims) ([]string, error) {
	listed, err := m.listed(all)
	if err != nil {
		return nil, err
	}
	var out []string
	seen := make(map[string]bool, len(listed))
	add := func(groups ...string) {
		for _, group := range groups {
			if !seen[group] {
				seen[group] = true
				out = append(out, group)
			}
		}
	}
	for _, group := range listed {
		if err := authn.CheckName(group); err != nil {
			return nil, err
		}
		if !reserved[group] {
			add(group)
		}
		// A group can't be called as a principal is.
		if !strings.HasPrefix(group, IDPrefix) {
			add(m.Names[group]...)
		}
	}
	add(m.Names[id]...)
	return out, nil
}

// listed reads the groups of a token: a list, or a single one.
func (m Mapping) listed(all claims) ([]string, error) {
	raw, ok := all.find(m.Groups)
	if m.Groups == "" || !ok || string(raw) == "null" {
		return nil, nil
	}
	var listed []string
	if err := json.Unmarshal(raw, &listed); err != nil {
		var single string
		if err := json.Unmarshal(raw, &single); err != nil {
			return nil, fmt.Errorf("%w: %w", errClaimType, err)
		}
		listed = []string{single}
	}
	if len(listed) > maxGroups {
		return nil, fmt.Errorf("%d groups, at most %d are possible", len(listed), maxGroups)
	}
	return listed, nil
}

// displayName is what people call the principal: nothing is decided by it.
func displayName(subject string, all claims) string {
	for _, claim := range []string{"preferred_username", "email", "name"} {
		var name string
		if raw, ok := all[claim]; ok && json.Unmarshal(raw, &name) == nil && authn.CheckName(name) == nil {
			return name
		}
	}
	return subject
}
