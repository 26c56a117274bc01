package management

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/floeberg/floeberg/api/jsonbody"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/cedar"
	"github.com/floeberg/floeberg/internal/policy"
)

// ExplainPolicies is a request to be judged by the policies in force.
type ExplainPolicies struct {
	Principal PolicyPrincipal `json:"principal"`
	Action    string          `json:"action"`
	Resource  PolicyResource  `json:"resource"`
	Context   PolicyContext   `json:"context"`
}

// PolicyPrincipal is who would ask.
type PolicyPrincipal struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Tenant string `json:"tenant,omitempty"`
	// Groups are, where they are null, those of the API key that the principal holds,
	// and so are name and tenant.
	Groups []*string `json:"groups"`
	// Type is user or service; what is missing is a user where a person would prove
	// itself like that, else a service.
	Type string `json:"type,omitempty"`
}

// PolicyResource is what it would be done to.
type PolicyResource struct {
	// Type is as the schema names it: Cluster, Warehouse, Namespace, Table, View, PolicySet.
	Type      string    `json:"type"`
	Warehouse string    `json:"warehouse"`
	Namespace []*string `json:"namespace"`
	Name      string    `json:"name"`
}

// PolicyContext is under what circumstances. What is missing is as if it were not known.
type PolicyContext struct {
	Time     *time.Time `json:"time"`
	SourceIP string     `json:"source_ip"`
	// Authentication is how the principal would prove who it is.
	Authentication string `json:"authentication"`
	// Access is the access to files that would be asked for: none, read or write.
	Access string `json:"access"`
}

// PolicyExplanation is a decision and how it came about.
type PolicyExplanation struct {
	Allowed bool `json:"allowed"`
	// Reason says it in a sentence.
	Reason string `json:"reason"`
	// Policies are those that decided; none where none permits.
	Policies []PolicyRef `json:"policies"`
	// Considered are the policies about this principal, action and place.
	Considered []ConsideredPolicy `json:"considered"`
	// Total is how many policies there are.
	Total int `json:"total"`
	// ClusterVersion and WarehouseVersion are the versions that were asked.
	ClusterVersion   *uint64 `json:"cluster_version"`
	WarehouseVersion *uint64 `json:"warehouse_version"`
	// Restrictions are what policies take away from an allowed look at a table.
	Restrictions []PolicyRestriction `json:"restrictions"`
	// ReadRestrictions are what readers of the table are told. Null where there are
	// none or the one who asks sees no such table.
	ReadRestrictions *json.RawMessage `json:"read_restrictions"`
	// RestrictionProblem is why the table is shown to nobody who is restricted so.
	RestrictionProblem *string `json:"restriction_problem"`
}

// PolicyRef names a policy.
type PolicyRef struct {
	// Warehouse is null where it is in the cluster's set.
	Warehouse *string `json:"warehouse"`
	// Policy is its @id, or "policy-N" for the N-th of its set.
	Policy string `json:"policy"`
	Line   int    `json:"line"`
	// Effect is permit or forbid.
	Effect string `json:"effect"`
}

// ConsideredPolicy is a policy that was looked at.
type ConsideredPolicy struct {
	PolicyRef
	// Outcome is what became of it.
	Outcome string `json:"outcome"`
	// Message is why it failed.
	Message *string `json:"message"`
}

var policyKinds = map[string]authz.Kind{
	string(authz.KindCluster): authz.KindCluster, string(authz.KindWarehouse): authz.KindWarehouse, string(authz.KindNamespace): authz.KindNamespace,
	string(authz.KindTable): authz.KindTable, string(authz.KindView): authz.KindView, string(authz.KindPolicySet): authz.KindPolicySet,
}

// question reads the request that is to be judged. Whose warehouse's policies may be
// looked at says the parameter, so nothing outside of it can be asked about.
func (q *ExplainPolicies) question(scope string) (authz.Request, error) {
	var r authz.Request
	groups, err := jsonbody.Names("principal.groups", q.Principal.Groups)
	if err != nil {
		return r, err
	}
	if q.Principal.ID == "" {
		return r, jsonbody.Fault("principal.id", "must name who asks")
	}
	r.Principal = authz.Principal{ID: q.Principal.ID, Name: q.Principal.Name, Tenant: q.Principal.Tenant, Groups: groups, Proof: authz.ProofKey}
	if r.Action = authz.Action(q.Action); r.Action.Class() == authz.ClassNone {
		return r, jsonbody.Fault("action", "must be an action such as LoadTable, not %q", q.Action)
	}
	if r.Resource, err = q.Resource.resource(); err != nil {
		return r, err
	}
	if scope != "" && r.Resource.Warehouse != scope {
		return r, jsonbody.Fault("resource.warehouse", "must be %q, whose policies are asked for", scope)
	}
	r.Context, err = q.Context.context()
	if err != nil {
		return r, err
	}
	switch proof := authz.Proof(q.Context.Authentication); proof {
	case "":
	case authz.ProofKey, authz.ProofToken, authz.ProofOIDC, authz.ProofCertificate, authz.ProofNone:
		r.Principal.Proof = proof
	default:
		return r, jsonbody.Fault("context.authentication", "must be key, token, oidc, certificate or none, not %q", q.Context.Authentication)
	}
	switch of := authz.PrincipalType(q.Principal.Type); of {
	case authz.TypeUser, authz.TypeService:
		r.Principal.Type = of
	case "":
		r.Principal.Type = authz.TypeService
		if r.Principal.Proof == authz.ProofOIDC || r.Principal.Proof == authz.ProofNone {
			r.Principal.Type = authz.TypeUser
		}
	default:
		return r, jsonbody.Fault("principal.type", "must be user or service, not %q", q.Principal.Type)
	}
	return r, nil
}

func (r *PolicyResource) resource() (authz.Resource, error) {
	var out authz.Resource
	kind, ok := policyKinds[r.Type]
	if !ok {
		return out, jsonbody.Fault("resource.type", "must be Cluster, Warehouse, Namespace, Table, View or PolicySet, not %q", r.Type)
	}
	levels, err := jsonbody.Names("resource.namespace", r.Namespace)
	if err != nil {
		return out, err
	}
	inWarehouse := kind != authz.KindCluster && kind != authz.KindPolicySet
	inNamespace := inWarehouse && kind != authz.KindWarehouse
	named := kind == authz.KindTable || kind == authz.KindView
	for _, f := range []struct {
		field        string
		given, needs bool
	}{
		{"resource.warehouse", r.Warehouse != "", inWarehouse},
		{"resource.namespace", len(levels) > 0, inNamespace},
		{"resource.name", r.Name != "", named},
	} {
		switch {
		case f.needs && !f.given:
			return out, jsonbody.Fault(f.field, "is missing: a %s has one", kind)
		case f.given && !f.needs && (kind != authz.KindPolicySet || f.field != "resource.warehouse"):
			return out, jsonbody.Fault(f.field, "must not be there: a %s has none", kind)
		}
	}
	return authz.Resource{Kind: kind, Warehouse: r.Warehouse, Namespace: levels, Name: r.Name}, nil
}

func (c *PolicyContext) context() (authz.Context, error) {
	var out authz.Context
	if c.Time != nil {
		out.Time = *c.Time
	}
	if c.SourceIP != "" {
		addr, err := netip.ParseAddr(c.SourceIP)
		if err != nil {
			return out, jsonbody.Fault("context.source_ip", "must be an IP address, not %q", c.SourceIP)
		}
		out.Source = addr
	}
	switch out.Access = authz.Access(c.Access); out.Access {
	case "", authz.AccessNone, authz.AccessRead, authz.AccessWrite:
		return out, nil
	}
	return out, jsonbody.Fault("context.access", "must be none, read or write, not %q", c.Access)
}

func (a *api) explainPolicies(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	scope, err := policyScope(c)
	if err != nil {
		return nil, err
	}
	var body ExplainPolicies
	if err := jsonbody.Decode(c.Body, &body); err != nil {
		return nil, err
	}
	q, err := body.question(scope)
	if err != nil {
		return nil, err
	}
	if body.Principal.Groups == nil {
		if body.Principal.Name != "" || body.Principal.Tenant != "" {
			return nil, jsonbody.Fault("principal.groups", "is missing: name and tenant are given")
		}
		// Whose key it is and which groups it has are told to those who may list keys.
		if err := c.Authorize(ctx, authz.ActionListKeys, onCluster(c)); err != nil {
			return nil, err
		}
		asked := q.Principal
		if q.Principal, err = a.policies.Holder(ctx, c.Read, c.Principal, body.Principal.ID); err != nil {
			return nil, err
		}
		q.Principal.Proof, q.Principal.Type = asked.Proof, asked.Type
	}
	e, err := a.policies.Explain(ctx, c.Read, q)
	if err != nil {
		return nil, err
	}
	shown := showExplanation(e)
	if err := a.explainRestrictions(ctx, c, e, &shown); err != nil {
		return nil, err
	}
	return serve.JSON(e.Index, shown)
}

func showExplanation(e *policy.Explanation) PolicyExplanation {
	out := PolicyExplanation{
		Allowed: e.Allowed, Policies: []PolicyRef{}, Considered: []ConsideredPolicy{}, Total: e.Total,
		ClusterVersion: e.ClusterVersion, WarehouseVersion: e.WarehouseVersion, Restrictions: []PolicyRestriction{},
	}
	for _, p := range e.Policies {
		out.Policies = append(out.Policies, showPolicyRef(p))
	}
	for _, p := range e.Considered {
		out.Considered = append(out.Considered, ConsideredPolicy{showPolicyRef(p.Ref), string(p.Outcome), given(p.Message)})
	}
	switch {
	case e.Allowed:
		out.Reason = "allowed: a policy permits it and none forbids it"
	case len(e.Policies) > 0:
		out.Reason = "denied: a policy forbids it"
	default:
		out.Reason = "denied: no policy permits it"
	}
	return out
}

func showPolicyRef(r cedar.Ref) PolicyRef {
	out := PolicyRef{Warehouse: given(r.Scope), Policy: r.Policy, Line: r.Line, Effect: "permit"}
	if r.Forbid {
		out.Effect = "forbid"
	}
	return out
}
