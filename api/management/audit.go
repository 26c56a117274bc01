package management

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/ops/audit"
)

// Audit is what all nodes have on record.
type Audit interface {
	// Find returns records that come after a position, the newest first.
	Find(ctx context.Context, q audit.Query, after audit.Position, most int) (*audit.Page, error)
	// Heads are how far the logs of all nodes have certainly come.
	Heads(ctx context.Context) ([]audit.Head, error)
	// VerifyAll has every node hold its own files against them.
	VerifyAll(ctx context.Context) ([]audit.NodeVerification, error)
}

// AuditRecord is a thing that happened.
type AuditRecord = audit.Record

// AuditList is a page of what is on record.
type AuditList struct {
	Records []AuditRecord `json:"records"`
	// Missing are nodes that did not answer.
	Missing       []audit.MissingNode `json:"missing"`
	NextPageToken string              `json:"next_page_token,omitempty"`
}

const (
	pathAudit       = pathRoot + "/audit"
	pathAuditHeads  = pathAudit + "/heads"
	pathAuditVerify = pathAudit + "/verify"
	// verifyAuditTimeout is for gigabytes of records.
	verifyAuditTimeout = 10 * time.Minute
	// fewRecords is a page where its size is not said, manyRecords the largest.
	fewRecords, manyRecords = 100, 1000
)

var auditQuery = []string{
	"principal", "tenant", "action", "decision", "event", "request_id", "node", "warehouse", "resource", "since", "until", "page_token", "page_size",
}

func (a *api) auditRoutes() []serve.Route {
	return []serve.Route{
		{Method: http.MethodGet, Path: pathAudit, Action: authz.ActionReadAudit, Resource: onCluster, Operates: true, Query: auditQuery, Handle: a.listAudit},
		{Method: http.MethodGet, Path: pathAuditHeads, Action: authz.ActionReadAudit, Resource: onCluster, Operates: true, Handle: a.listAuditHeads},
		{Method: http.MethodGet, Path: pathAuditVerify, Action: authz.ActionReadAudit, Resource: onCluster, Operates: true, Handle: a.verifyAudit, Timeout: verifyAuditTimeout},
	}
}

func (a *api) listAudit(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	p, err := page(c)
	if err != nil {
		return nil, err
	}
	size := min(p.Size, manyRecords)
	if size == 0 {
		size = fewRecords
	}
	after, err := audit.ParsePosition(p.Token)
	if err != nil {
		return nil, serve.BadRequest("Invalid query: page_token is none of this listing")
	}
	q, err := readAuditQuery(c)
	if err != nil {
		return nil, err
	}
	out := AuditList{Records: []AuditRecord{}, Missing: []audit.MissingNode{}}
	// Who belongs to a tenant is shown what that tenant's did.
	q.Tenant = cmp.Or(q.Tenant, c.Principal.Tenant)
	if a.audit == nil || !c.Principal.Knows(q.Tenant) {
		return serve.JSON(0, out)
	}
	found, err := a.audit.Find(ctx, q, after, size)
	if err != nil {
		return nil, err
	}
	out.Records, out.Missing = found.Records, found.Missing
	if found.Next != nil {
		out.NextPageToken = found.Next.String()
	}
	return serve.JSON(0, out)
}

// AuditHeads is how far the logs of all nodes have certainly come.
type AuditHeads struct {
	Heads []audit.Head `json:"heads"`
}

func (a *api) listAuditHeads(ctx context.Context, _ *serve.Call) (*serve.Reply, error) {
	out := AuditHeads{Heads: []audit.Head{}}
	if a.audit == nil {
		return serve.JSON(0, out)
	}
	heads, err := a.audit.Heads(ctx)
	if err != nil {
		return nil, err
	}
	out.Heads = append(out.Heads, heads...)
	return serve.JSON(0, out)
}

// AuditVerification is what all nodes found in their own files.
type AuditVerification struct {
	OK    bool                     `json:"ok"`
	Nodes []audit.NodeVerification `json:"nodes"`
}

func (a *api) verifyAudit(ctx context.Context, _ *serve.Call) (*serve.Reply, error) {
	out := AuditVerification{OK: true, Nodes: []audit.NodeVerification{}}
	if a.audit == nil {
		return serve.JSON(0, out)
	}
	nodes, err := a.audit.VerifyAll(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		out.OK = out.OK && n.Verification != nil && n.Verification.OK
	}
	out.Nodes = append(out.Nodes, nodes...)
	return serve.JSON(0, out)
}

// readAuditQuery reads which records are asked for.
func readAuditQuery(c *serve.Call) (audit.Query, error) {
	q := audit.Query{
		Principal: c.Query.Get("principal"), Tenant: c.Query.Get("tenant"), Action: c.Query.Get("action"),
		Decision: audit.Verdict(c.Query.Get("decision")), Event: audit.Event(c.Query.Get("event")),
		RequestID: c.Query.Get("request_id"), Node: c.Query.Get("node"), Warehouse: c.Query.Get("warehouse"),
		Resource: serve.SplitNamespace(c.Query.Get("resource")),
	}
	switch q.Decision {
	case "", audit.Allow, audit.Deny:
	default:
		return q, serve.BadRequest("Invalid query: decision must be allow or deny, not %q", q.Decision)
	}
	if q.Event != "" && !slices.Contains(audit.Events(), q.Event) {
		return q, serve.BadRequest("Invalid query: event must be one of %v, not %q", audit.Events(), q.Event)
	}
	var err error
	if q.Since, err = momentAsked(c, "since"); err != nil {
		return q, err
	}
	q.Until, err = momentAsked(c, "until")
	return q, err
}

// momentAsked reads a parameter that is a moment; the zero time is none.
func momentAsked(c *serve.Call, name string) (time.Time, error) {
	text := c.Query.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, serve.BadRequest("Invalid query: %s must be a moment such as %s, not %q", name, "2026-01-31T12:00:00Z", text)
	}
	return t, nil
}
