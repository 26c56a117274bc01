package management

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/floeberg/floeberg/api/jsonbody"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/policy"
)

// Policies is the policies that decide who may do what. A set goes by its scope: a
// warehouse's by the warehouse's name, the cluster's by "".
type Policies interface {
	// Get returns a version of a set; nil is the one in force.
	Get(ctx context.Context, read catalog.Read, scope string, number *uint64) (*policy.Version, error)
	// Put puts a text in force.
	Put(ctx context.Context, ch catalog.Change, by policy.By, q policy.Put) (*policy.Version, error)
	// Rollback puts the text of an earlier version in force.
	Rollback(ctx context.Context, ch catalog.Change, by policy.By, scope string, number uint64, terms policy.Terms) (*policy.Version, error)
	// Validate tells what is wrong with a text.
	Validate(ctx context.Context, read catalog.Read, scope, text string) (*policy.Verdict, error)
	// History returns the versions of a set.
	History(ctx context.Context, read catalog.Read, scope string, page catalog.Page) (*policy.History, error)
	// Diff compares two versions of a set; nil as the second is the one in force.
	Diff(ctx context.Context, read catalog.Read, scope string, from uint64, to *uint64) (*policy.Difference, error)
	// Sets returns all sets.
	Sets(ctx context.Context, read catalog.Read, page catalog.Page) (*policy.Sets, error)
	// Replay judges requests by the policies in force, and by those with a text in the
	// place of a scope's.
	Replay(ctx context.Context, read catalog.Read, scope, text string, requests []authz.Request) (*policy.Replay, error)
	// Holder is the principal that holds an API key, if whoever asks may know of it.
	Holder(ctx context.Context, read catalog.Read, by authz.Principal, id string) (authz.Principal, error)
	// Explain tells what the policies in force say of a request.
	Explain(ctx context.Context, read catalog.Read, q authz.Request) (*policy.Explanation, error)
}

// PolicyVersion is a version of a policy set.
type PolicyVersion struct {
	// Warehouse is null for the cluster's set.
	Warehouse *string `json:"warehouse"`
	Version   uint64  `json:"version"`
	// Text is left out in lists.
	Text    *string `json:"text,omitempty"`
	SHA256  string  `json:"sha256"`
	InForce bool    `json:"in_force"`
	// CreatedAt and the author are null for version 0, which nobody put.
	CreatedAt  *time.Time `json:"created_at"`
	Author     *string    `json:"author"`
	AuthorName *string    `json:"author_name"`
	Comment    string     `json:"comment"`
	// RolledBackTo is the version whose text it has again.
	RolledBackTo *uint64 `json:"rolled_back_to"`
	Forced       bool    `json:"forced"`
}

// PolicySets is a page of policy sets, each by its version in force.
type PolicySets struct {
	Sets          []PolicyVersion `json:"sets"`
	NextPageToken string          `json:"next_page_token,omitempty"`
}

// PolicyHistory is a page of a set's versions, the newest first.
type PolicyHistory struct {
	Versions      []PolicyVersion `json:"versions"`
	NextPageToken string          `json:"next_page_token,omitempty"`
}

// PutPolicies asks for a text to be put in force.
type PutPolicies struct {
	Text string `json:"text"`
	PolicyTerms
}

// RollbackPolicies asks for the text of an earlier version to be put in force.
type RollbackPolicies struct {
	Version *uint64 `json:"version"`
	PolicyTerms
}

// PolicyTerms are on what terms a set is changed.
type PolicyTerms struct {
	// ExpectedVersion must be in force until then; null takes any.
	ExpectedVersion *uint64 `json:"expected_version,omitempty"`
	Comment         string  `json:"comment,omitempty"`
	// Force changes it though its author may not change it back.
	Force bool `json:"force,omitempty"`
}

// ValidatePolicies asks what is wrong with a text.
type ValidatePolicies struct {
	Text string `json:"text"`
}

// PolicyVerdict is what is wrong with a text.
type PolicyVerdict struct {
	Valid bool `json:"valid"`
	// Policies is how many there are; 0 where the text is not valid.
	Policies int             `json:"policies"`
	Problems []PolicyProblem `json:"problems"`
	// More is how many problems there are beside these.
	More int `json:"more"`
}

// PolicyProblem is one thing that is wrong with a text.
type PolicyProblem struct {
	// Policy is null where it is the text as a whole, Line where that is not known.
	Policy  *string `json:"policy"`
	Line    *int    `json:"line"`
	Message string  `json:"message"`
}

// PolicyDiff is how one version of a set becomes another.
type PolicyDiff struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	// Diff is as `diff -u` shows it; empty where they are equal.
	Diff string `json:"diff"`
}

// policyRoutes are the operations on policy sets. Which set is meant is said by the
// parameter warehouse; without it the cluster's is.
func (a *api) policyRoutes() []serve.Route {
	show := serve.Route{Method: http.MethodGet, Action: authz.ActionShowPolicies, Resource: onPolicies}
	ask := serve.Route{Method: http.MethodPost, Action: authz.ActionShowPolicies, Resource: onPolicies, Query: policyQuery(), Body: true}
	change := serve.Route{Method: http.MethodPost, Action: authz.ActionManagePolicies, Resource: onPolicies, Query: policyQuery(), Body: true, Change: true}

	get, sets, history, diff := show, show, show, show
	get.Path, get.Query, get.Handle = pathPolicies, policyQuery("version"), a.getPolicies
	sets.Path, sets.Query, sets.Handle = pathPolicies+"/sets", pageQuery, a.listPolicySets
	sets.Resource = func(*serve.Call) authz.Resource { return authz.Resource{Kind: authz.KindPolicySet} }
	history.Path, history.Query, history.Handle = pathPolicies+"/history", policyQuery(pageQuery...), a.listPolicyVersions
	diff.Path, diff.Query, diff.Handle = pathPolicies+"/diff", policyQuery("from", "to"), a.diffPolicies

	validate, explain, try := ask, ask, ask
	validate.Path, validate.Handle = pathPolicies+"/validate", a.validatePolicies
	explain.Path, explain.Handle = pathPolicies+"/explain", a.explainPolicies
	try.Path, try.Handle = pathPolicies+"/try", a.tryPolicies

	put, rollback := change, change
	put.Method, put.Path, put.Handle = http.MethodPut, pathPolicies, a.putPolicies
	rollback.Path, rollback.Handle = pathPolicies+"/rollback", a.rollbackPolicies
	return []serve.Route{get, put, sets, history, diff, validate, explain, try, rollback}
}

const warehouseQuery = "warehouse"

func policyQuery(more ...string) []string { return append([]string{warehouseQuery}, more...) }

func onPolicies(c *serve.Call) authz.Resource {
	return authz.Resource{Kind: authz.KindPolicySet, Warehouse: c.Query.Get(warehouseQuery)}
}

// policyScope reads which set is meant.
func policyScope(c *serve.Call) (string, error) {
	if c.Query.Has(warehouseQuery) && c.Query.Get(warehouseQuery) == "" {
		return "", serve.BadRequest("Invalid query: %s is empty; leave it out for the policies of the cluster", warehouseQuery)
	}
	return c.Query.Get(warehouseQuery), nil
}

// versionQuery reads a version's number; nil where none is given.
func versionQuery(c *serve.Call, name string) (*uint64, error) {
	if !c.Query.Has(name) {
		return nil, nil
	}
	number, err := strconv.ParseUint(c.Query.Get(name), 10, 64)
	if err != nil {
		return nil, serve.BadRequest("Invalid query: %s must be the number of a version, not %q", name, c.Query.Get(name))
	}
	return &number, nil
}

func (a *api) getPolicies(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	scope, err := policyScope(c)
	if err != nil {
		return nil, err
	}
	number, err := versionQuery(c, "version")
	if err != nil {
		return nil, err
	}
	return shownPolicies(a.policies.Get(ctx, c.Read, scope, number))
}

func (a *api) putPolicies(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	scope, err := policyScope(c)
	if err != nil {
		return nil, err
	}
	var body struct {
		PutPolicies
		Text            *string           `json:"text"`
		ExpectedVersion *jsonbody.Integer `json:"expected_version"`
	}
	if err := jsonbody.Decode(c.Body, &body); err != nil {
		return nil, err
	}
	if body.Text == nil {
		return nil, jsonbody.Fault("text", "is missing")
	}
	terms, err := body.terms(body.ExpectedVersion)
	if err != nil {
		return nil, err
	}
	return shownPolicies(a.policies.Put(ctx, c.Change(), asker(c), policy.Put{Scope: scope, Text: *body.Text, Terms: terms}))
}

func (a *api) rollbackPolicies(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	scope, err := policyScope(c)
	if err != nil {
		return nil, err
	}
	var body struct {
		RollbackPolicies
		Version         *jsonbody.Integer `json:"version"`
		ExpectedVersion *jsonbody.Integer `json:"expected_version"`
	}
	if err := jsonbody.Decode(c.Body, &body); err != nil {
		return nil, err
	}
	if body.Version == nil {
		return nil, jsonbody.Fault("version", "is missing")
	}
	version, err := body.Version.Natural("version")
	if err != nil {
		return nil, err
	}
	terms, err := body.terms(body.ExpectedVersion)
	if err != nil {
		return nil, err
	}
	return shownPolicies(a.policies.Rollback(ctx, c.Change(), asker(c), scope, version, terms))
}

func (t PolicyTerms) terms(expected *jsonbody.Integer) (policy.Terms, error) {
	out := policy.Terms{Comment: t.Comment, Force: t.Force}
	if expected == nil {
		return out, nil
	}
	version, err := expected.Natural("expected_version")
	out.Expect = &version
	return out, err
}

// asker is who changes policies, and from where.
func asker(c *serve.Call) policy.By { return c.Asking(authz.ActionManagePolicies, onPolicies(c)) }

func (a *api) validatePolicies(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	scope, err := policyScope(c)
	if err != nil {
		return nil, err
	}
	var body struct {
		Text *string `json:"text"`
	}
	if err := jsonbody.Decode(c.Body, &body); err != nil {
		return nil, err
	}
	if body.Text == nil {
		return nil, jsonbody.Fault("text", "is missing")
	}
	verdict, err := a.policies.Validate(ctx, c.Read, scope, *body.Text)
	if err != nil {
		return nil, err
	}
	out := PolicyVerdict{Valid: len(verdict.Problems) == 0, Policies: verdict.Policies, Problems: []PolicyProblem{}, More: verdict.More}
	for _, p := range verdict.Problems {
		shown := PolicyProblem{Policy: given(p.Policy), Message: p.Message}
		if p.Line > 0 {
			shown.Line = &p.Line
		}
		out.Problems = append(out.Problems, shown)
	}
	return serve.JSON(verdict.Index, out)
}

func (a *api) listPolicySets(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	p, err := page(c)
	if err != nil {
		return nil, err
	}
	list, err := a.policies.Sets(ctx, c.Read, p)
	if err != nil {
		return nil, err
	}
	return serve.JSON(list.Index, PolicySets{Sets: showVersions(list.Sets), NextPageToken: list.Next})
}

func (a *api) listPolicyVersions(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	scope, err := policyScope(c)
	if err != nil {
		return nil, err
	}
	p, err := page(c)
	if err != nil {
		return nil, err
	}
	list, err := a.policies.History(ctx, c.Read, scope, p)
	if err != nil {
		return nil, err
	}
	return serve.JSON(list.Index, PolicyHistory{Versions: showVersions(list.Versions), NextPageToken: list.Next})
}

func (a *api) diffPolicies(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	scope, err := policyScope(c)
	if err != nil {
		return nil, err
	}
	from, err := versionQuery(c, "from")
	if err != nil {
		return nil, err
	}
	if from == nil {
		return nil, serve.BadRequest("Invalid query: from is missing")
	}
	to, err := versionQuery(c, "to")
	if err != nil {
		return nil, err
	}
	d, err := a.policies.Diff(ctx, c.Read, scope, *from, to)
	if err != nil {
		return nil, err
	}
	return serve.JSON(d.To.Index, PolicyDiff{From: d.From.Number, To: d.To.Number, Diff: d.Diff})
}

func shownPolicies(v *policy.Version, err error) (*serve.Reply, error) {
	if err != nil {
		return nil, err
	}
	shown := showVersion(v)
	shown.Text = &v.Text
	return serve.JSON(v.Index, shown)
}

func showVersions(all []*policy.Version) []PolicyVersion {
	out := make([]PolicyVersion, len(all))
	for i, v := range all {
		out[i] = showVersion(v)
	}
	return out
}

func showVersion(v *policy.Version) PolicyVersion {
	return PolicyVersion{
		Warehouse: given(v.Scope), Version: v.Number, SHA256: v.SHA256, InForce: v.InForce, CreatedAt: moment(v.Created),
		Author: given(v.AuthorID), AuthorName: given(v.AuthorName), Comment: v.Comment, RolledBackTo: v.RolledBackTo, Forced: v.Forced,
	}
}
