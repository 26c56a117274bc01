// Package authz decides who may do what: one call per request, deny by default.
package authz

// Principal is who asks.
type Principal struct {
	// ID is unique in the cluster and never given to anybody else.
	ID string
	// Name is what people call it.
	Name string
	// Tenant is who it belongs to; "" is nobody in particular.
	Tenant string
	// Groups are what its rights are given to.
	Groups []string
	// Proof is how it showed who it is.
	Proof Proof
	// Type is whether it is a person or a program.
	Type PrincipalType
	// BreakGlass tells that it may always look at policies and change them, whatever
	// they say. It gives no other right.
	BreakGlass bool
	// KeyID names the API key that it proved itself with; "" where that was something else.
	KeyID string
	// Evidence is what the answer "this is who asks" rests on. Whoever acts for
	// the principal can prove later that it still holds.
	Evidence []Evidence
}

// Knows tells whether what belongs to a tenant is any of the principal's business: who
// belongs to a tenant itself learns of no other, whatever it may do. "" is nobody's in
// particular.
func (p Principal) Knows(tenant string) bool { return p.Tenant == "" || p.Tenant == tenant }

// Proof is how a principal showed who it is. Names are written into policies: they
// are never renamed.
type Proof string

// The proofs.
const (
	// ProofNone is no proof: authentication is off.
	ProofNone Proof = "none"
	// ProofKey is an API key.
	ProofKey Proof = "key"
	// ProofToken is a token that the cluster gave for an API key.
	ProofToken Proof = "token"
	// ProofOIDC is a token of an identity provider.
	ProofOIDC Proof = "oidc"
	// ProofCertificate is a client certificate.
	ProofCertificate Proof = "certificate"
)

// PrincipalType is whether a principal is a person or a program. Names are written into
// policies: they are never renamed.
type PrincipalType string

// The types.
const (
	// TypeUser is a person.
	TypeUser PrincipalType = "user"
	// TypeService is a program.
	TypeService PrincipalType = "service"
)
