package serve

import (
	"context"
	"errors"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/ops/audit"
)

// Auditor keeps a record of who asked for what, and what became of it.
type Auditor interface {
	// Note takes a record and waits for nothing.
	Note(r audit.Record)
	// NoteFailure takes a record of a failure to tell who asks; those that are many are
	// taken together.
	NoteFailure(r audit.Record)
	// Ensure takes a record of what is about to be done. Where it returns an error,
	// which is audit.ErrUnavailable, it must not be done.
	Ensure(ctx context.Context, r audit.Record) error
}

// noAuditor keeps no record.
type noAuditor struct{}

func (noAuditor) Note(audit.Record)                          {}
func (noAuditor) NoteFailure(audit.Record)                   {}
func (noAuditor) Ensure(context.Context, audit.Record) error { return nil }

// audited tells whether it is on record that somebody was allowed to do this;
// denials always are.
func (r *Route) audited() bool {
	return r.Change || r.Sensitive || r.Action.Class() == authz.ClassAudit
}

// recordStranger records that it could not be told who asks. That it can't be told
// now says nothing of the one who asks.
func (s *server) recordStranger(g *gin.Context, err error) {
	if !errors.Is(err, authn.ErrUnauthenticated) {
		return
	}
	s.opts.Audit.NoteFailure(FailureRecord(g.Request.Context(), err))
}

// FailureRecord is a record of a request whose credentials prove nothing: of these it
// says nothing but why.
func FailureRecord(ctx context.Context, err error) audit.Record {
	return audit.Record{RequestID: middleware.RequestID(ctx), Source: source(ctx), Reason: authn.Reason(err)}
}

// TokenRecord is a record of a token that is given to a principal, which can do no more
// with it than without; grant is a word for what it was given for.
func TokenRecord(ctx context.Context, principal, grant string) audit.Record {
	return audit.Record{
		Event: audit.Credentials, Decision: audit.Allow, RequestID: middleware.RequestID(ctx), Source: source(ctx), Principal: principal, Reason: grant,
	}
}

// recordDenial records a denial, whatever the one who asks is told, and tells that there
// was one.
func (s *server) recordDenial(c *Call, action authz.Action, resource authz.Resource, d *authz.Decision) {
	r := c.decided(action, resource, d)
	r.Decision = audit.Deny
	s.opts.Audit.Note(r)
	if s.opts.Events.Denied != nil {
		s.opts.Events.Denied(string(action))
	}
}

// recordAllowed records what was allowed where that is to be on record: a change before it
// is made.
func (s *server) recordAllowed(ctx context.Context, c *Call, action authz.Action, resource authz.Resource, ruling authz.Ruling) error {
	if !c.Route.audited() {
		return nil
	}
	r := c.decided(action, resource, decisionOf(ruling))
	r.Decision = audit.Allow
	if !c.Route.Change {
		s.opts.Audit.Note(r)
		return nil
	}
	c.allowed = true
	return s.opts.Audit.Ensure(ctx, r)
}

// decided is a record of a decision, without what it was.
func (c *Call) decided(action authz.Action, resource authz.Resource, d *authz.Decision) audit.Record {
	r := c.record(audit.Decision)
	r.Action, r.Resource = string(action), auditResource(resource)
	r.Policies, r.PolicyVersion, r.Restrictions = d.Policies, d.PolicyVersion, d.Restrictions
	r.Context = c.circumstances(d.Time).Raw()
	return r
}

// circumstances are what a decision of a moment looked at besides who asks for what.
func (c *Call) circumstances(moment time.Time) audit.Circumstances {
	under := c.Asking("", authz.Resource{})
	out := audit.Circumstances{
		Time: moment.UTC(), Authentication: string(under.Principal.Proof), Access: string(under.Context.Access),
	}
	for _, view := range under.Context.ReferencedBy {
		out.ReferencedBy = append(out.ReferencedBy, *auditResource(view))
	}
	return out
}

// recordOutcome records what became of a change that was allowed.
func (s *server) recordOutcome(c *Call, rep *Reply, err error) {
	if !c.allowed {
		return
	}
	r := c.record(audit.Outcome)
	r.Action, r.Resource = string(c.Route.Action), auditResource(c.Route.Resource(c))
	switch {
	case err != nil:
		v := judgeError(err, r.RequestID)
		r.Status, r.Error = v.status, v.errorType
	case rep != nil:
		r.Status, r.Index = rep.Status, rep.Index
	}
	s.opts.Audit.Note(r)
}

// record is a record of a call, with who asks.
func (c *Call) record(event audit.Event) audit.Record {
	p := &c.Principal
	return audit.Record{
		Event: event, RequestID: middleware.RequestID(c.Request.Context()), Source: c.source,
		Principal: p.ID, PrincipalName: p.Name, PrincipalType: string(p.Type), Tenant: p.Tenant, Groups: p.Groups,
	}
}

// Credentials puts it on record that the one who asks is given credentials for a
// resource, before it is. What they are must not be told here: kind is a word for
// it. Where it returns an error they must not be given: for a table's files they would
// be given to a reader that can't keep to what the policies restrict.
func (c *Call) Credentials(ctx context.Context, kind string, resource authz.Resource) error {
	if resource.Kind == authz.KindTable {
		if _, err := c.Reading(ctx, resource); err != nil {
			return err
		}
	}
	r := c.record(audit.Credentials)
	r.Action, r.Resource, r.Reason, r.Decision = string(c.Route.Action), auditResource(resource), kind, audit.Allow
	return c.ensure(ctx, r)
}

// source is where a request comes from; "" is not known.
func source(ctx context.Context) string {
	if address := middleware.Client(ctx); address.IsValid() {
		return address.String()
	}
	return ""
}

func auditResource(r authz.Resource) *audit.Resource {
	return &audit.Resource{Kind: string(r.Kind), Warehouse: r.Warehouse, Namespace: r.Namespace, Name: r.Name}
}
