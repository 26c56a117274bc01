package management

import (
	"cmp"
	"context"
	"net/netip"
	"time"

	"github.com/floeberg/floeberg/api/jsonbody"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/cedar"
	"github.com/floeberg/floeberg/internal/policy"
	"github.com/floeberg/floeberg/ops/audit"
)

// How many decisions a trial looks at: where it is not said, and at most.
const (
	fewDecisions  = 1000
	manyDecisions = 10_000
	// manyPages bounds how far back they are looked for: each page may be a long look at
	// the nodes' files that finds none.
	manyPages = 20
)

// TryPolicies asks what a text would have made of what was asked for lately.
type TryPolicies struct {
	Text string `json:"text"`
	// Last is how many of the last decisions on record are looked at.
	Last int `json:"last,omitempty"`
}

// PolicyTrial is what a text would have made of it.
type PolicyTrial struct {
	// Decisions is how many were looked at, and Since when the first of them was made.
	Decisions int        `json:"decisions"`
	Since     *time.Time `json:"since"`
	// Changed are those that would be otherwise, the newest first.
	Changed []ChangedDecision `json:"changed"`
	// More is how many others would be.
	More int `json:"more"`
	// Incomplete is how many were left out, because what they looked at was too long to be
	// kept on record whole.
	Incomplete int `json:"incomplete"`
	// Missing are nodes whose records were not looked at.
	Missing []audit.MissingNode `json:"missing"`
}

// ChangedDecision is a request that would be decided otherwise than now.
type ChangedDecision struct {
	Time          time.Time       `json:"time"`
	RequestID     string          `json:"request_id"`
	Principal     string          `json:"principal"`
	PrincipalName string          `json:"principal_name"`
	Action        string          `json:"action"`
	Resource      *audit.Resource `json:"resource"`
	// Allowed is what would be; now it is the other way round.
	Allowed bool `json:"allowed"`
	// Policies would decide, and Now do; none is that none permits.
	Policies []PolicyRef `json:"policies"`
	Now      []PolicyRef `json:"now"`
}

func (a *api) tryPolicies(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	scope, err := policyScope(c)
	if err != nil {
		return nil, err
	}
	var body struct {
		TryPolicies
		Text *string          `json:"text"`
		Last jsonbody.Integer `json:"last"`
	}
	if err := jsonbody.Decode(c.Body, &body); err != nil {
		return nil, err
	}
	switch {
	case body.Text == nil:
		return nil, jsonbody.Fault("text", "is missing")
	case body.Last < 0 || body.Last > manyDecisions:
		return nil, jsonbody.Fault("last", "must be 1 to %d", manyDecisions)
	case body.Last == 0:
		body.Last = fewDecisions
	}
	// What was asked for, by whom, is told to those who may read it on record.
	if err := c.Authorize(ctx, authz.ActionReadAudit, onCluster(c)); err != nil {
		return nil, err
	}
	records, missing, err := a.lastDecisions(ctx, audit.Query{Event: audit.Decision, Warehouse: scope, Tenant: c.Principal.Tenant}, int(body.Last))
	if err != nil {
		return nil, err
	}
	requests, judged := make([]authz.Request, 0, len(records)), make([]*audit.Record, 0, len(records))
	for i := range records {
		if request, ok := recorded(&records[i]); ok {
			requests, judged = append(requests, request), append(judged, &records[i])
		}
	}
	replay, err := a.policies.Replay(ctx, c.Read, scope, *body.Text, requests)
	if err != nil {
		return nil, err
	}
	out := showTrial(replay, judged)
	out.Missing = append(out.Missing, missing...)
	if out.Incomplete = len(records) - len(judged); len(records) > 0 {
		out.Since = &records[len(records)-1].Time
	}
	return serve.JSON(replay.Index, out)
}

// lastDecisions are the last records that a query finds, the newest first.
func (a *api) lastDecisions(ctx context.Context, q audit.Query, most int) (records []audit.Record, missing []audit.MissingNode, err error) {
	if a.audit == nil {
		return nil, nil, nil
	}
	after := audit.Position{}
	for pages := 0; pages < manyPages && len(records) < most; pages++ {
		page, err := a.audit.Find(ctx, q, after, min(most-len(records), manyRecords))
		if err != nil {
			return nil, nil, err
		}
		records, missing = append(records, page.Records...), page.Missing
		if page.Next == nil {
			break
		}
		after = *page.Next
	}
	return records, missing, nil
}

// recorded is a request as it is on record; not ok is one of which part is not. Of
// records from before the circumstances were kept it is taken that a key was shown.
func recorded(r *audit.Record) (request authz.Request, ok bool) {
	under, ok := r.Circumstances()
	if !ok {
		return request, false
	}
	request = authz.Request{
		Principal: authz.Principal{
			ID: r.Principal, Name: r.PrincipalName, Tenant: r.Tenant, Groups: r.Groups,
			Proof: cmp.Or(authz.Proof(under.Authentication), authz.ProofKey),
			// A record of a program that did not write it down is of a key, most likely.
			Type: authz.PrincipalType(cmp.Or(r.PrincipalType, string(authz.TypeService))),
		},
		Action: authz.Action(r.Action), Context: authz.Context{Time: under.Time, Access: authz.Access(under.Access)},
	}
	if under.Time.IsZero() {
		request.Context.Time = r.Time
	}
	for i := range under.ReferencedBy {
		request.Context.ReferencedBy = append(request.Context.ReferencedBy, recordedResource(&under.ReferencedBy[i]))
	}
	if r.Resource != nil {
		request.Resource = recordedResource(r.Resource)
	}
	if addr, err := netip.ParseAddr(r.Source); err == nil {
		request.Context.Source = addr
	}
	return request, true
}

func recordedResource(r *audit.Resource) authz.Resource {
	return authz.Resource{Kind: authz.Kind(r.Kind), Warehouse: r.Warehouse, Namespace: r.Namespace, Name: r.Name}
}

func showTrial(replay *policy.Replay, records []*audit.Record) PolicyTrial {
	out := PolicyTrial{Decisions: replay.Requests, Changed: []ChangedDecision{}, More: replay.More, Missing: []audit.MissingNode{}}
	for _, changed := range replay.Changed {
		r := records[changed.Number]
		out.Changed = append(out.Changed, ChangedDecision{
			Time: r.Time, RequestID: r.RequestID, Principal: r.Principal, PrincipalName: r.PrincipalName, Action: r.Action, Resource: r.Resource,
			Allowed: changed.Then.Allowed, Policies: showPolicyRefs(changed.Then.Policies), Now: showPolicyRefs(changed.Now.Policies),
		})
	}
	return out
}

func showPolicyRefs(refs []cedar.Ref) []PolicyRef {
	out := make([]PolicyRef, len(refs))
	for i, r := range refs {
		out[i] = showPolicyRef(r)
	}
	return out
}
