package serve

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Authorizer decides what a principal may do.
type Authorizer interface {
	// Authorize decides about a request. A denial that is firm is made on a state that
	// is proven current; where that can't be had, the ruling comes with an error.
	Authorize(ctx context.Context, r authz.Request, firm bool) (authz.Ruling, error)
	// Filter decides about what is directly in the request's resource, and tells the
	// records that it rests on.
	Filter(ctx context.Context, r authz.Request, kind authz.Kind) (authz.Filter, []authz.Evidence, error)
	// Recheck proves that what earlier rulings rested on still holds.
	Recheck(ctx context.Context, evidence []authz.Evidence) error
}

// Authorize asks for one more right than the route does: for requests whose body
// says what else they touch. Who may not see the resource is told that it is not
// there.
func (c *Call) Authorize(ctx context.Context, action authz.Action, resource authz.Resource) error {
	return c.judge(ctx, action, resource)
}

// AuthorizeNew asks whether the one who asks may see what it is about to make. Who
// may not can't make it: whether the name is taken would tell it of what it may not see.
func (c *Call) AuthorizeNew(ctx context.Context, action authz.Action, resource authz.Resource) error {
	err := c.judge(ctx, action, resource)
	if isMissing(err) {
		return authz.ErrDenied
	}
	return err
}

// Filter is which of the resources of a kind directly in a resource are seen: those
// that the action is allowed on.
func (c *Call) Filter(ctx context.Context, action authz.Action, in authz.Resource, kind authz.Kind) (catalog.Filter, error) {
	return c.sift(ctx, action, in, kind)
}

// Sees tells whether the one who asks may do something, without a word about it on
// record: nobody is denied anything.
func (c *Call) Sees(ctx context.Context, action authz.Action, resource authz.Resource) bool {
	return c.sees(ctx, action, resource)
}

// Filtered is a filter of few entries, each of which is decided about alone.
func (c *Call) Filtered(ctx context.Context, action authz.Action, entry func(name string) authz.Resource) catalog.Filter {
	return catalog.FilterFunc(func(name string) bool { return c.sees(ctx, action, entry(name)) })
}

// Asking is the question whether who asks may do something, by what is known of the
// call.
func (c *Call) Asking(action authz.Action, resource authz.Resource) authz.Request {
	return authz.Request{
		Principal: c.Principal, Action: action, Resource: resource,
		Context: authz.Context{Source: middleware.Client(c.Request.Context()), Access: authz.AccessNone, ReferencedBy: c.referencedBy},
	}
}

// authorize asks for a right.
func (s *server) authorize(ctx context.Context, c *Call, action authz.Action, resource authz.Resource) error {
	c.asked = true
	// Who asks for a state of the past is judged by that, and so is who works on the
	// cluster itself, which must be possible without a leader.
	firm := !c.Route.Operates && (c.Route.Change || c.Read.Consistency == catalog.Linearizable)
	ruling, err := s.opts.Authorizer.Authorize(ctx, c.Asking(action, resource), firm)
	if err != nil {
		return err
	}
	if !ruling.Allowed {
		s.recordDenial(c, action, resource, decisionOf(ruling))
		if ruling.Missing == nil {
			return authz.ErrDenied
		}
		return notThere(*ruling.Missing)
	}
	if err := c.rest(ruling.Evidence); err != nil {
		return err
	}
	if action == authz.ActionLoadTable {
		c.loads = append(c.loads, load{resource, ruling.Restrictions, ruling.Versions})
	}
	return s.recordAllowed(ctx, c, action, resource, ruling)
}

// decisionOf is a ruling as it is put on record.
func decisionOf(r authz.Ruling) *authz.Decision {
	return &authz.Decision{Policies: r.Policies, PolicyVersion: versions(r.Versions), Restrictions: r.Restrictions.Policies(), Time: r.Time}
}

// versions names the policy sets that were asked.
func versions(of map[string]uint64) string {
	var b strings.Builder
	for _, scope := range slices.Sorted(maps.Keys(of)) {
		if b.Len() > 0 {
			b.WriteString(" ")
		}
		fmt.Fprintf(&b, "%s@%d", cmp.Or(scope, "cluster"), of[scope])
	}
	return b.String()
}

// sees tells whether an action is allowed, for a listing: nobody was denied
// anything where it is not.
func (s *server) sees(ctx context.Context, c *Call, action authz.Action, resource authz.Resource) bool {
	ruling, err := s.opts.Authorizer.Authorize(ctx, c.Asking(action, resource), false)
	return err == nil && ruling.Allowed && c.rest(ruling.Evidence) == nil
}

func (s *server) filter(ctx context.Context, c *Call, action authz.Action, in authz.Resource, kind authz.Kind) (catalog.Filter, error) {
	filter, evidence, err := s.opts.Authorizer.Filter(ctx, c.Asking(action, in), kind)
	if err != nil {
		return nil, err
	}
	return filter, c.rest(evidence)
}

// rest notes what the call's rights rest on. Rulings that rest on different states
// do not go together.
func (c *Call) rest(evidence []authz.Evidence) error {
	for _, e := range evidence {
		known := slices.IndexFunc(c.evidence, func(k authz.Evidence) bool { return bytes.Equal(k.Key, e.Key) })
		switch {
		case known < 0:
			c.evidence = append(c.evidence, e)
		case c.evidence[known].Revision != e.Revision:
			return authn.ErrChanged
		}
	}
	return nil
}

// holds proves that who asks is still who it was, and may still do it.
func (s *server) holds(ctx context.Context, c *Call) error {
	if err := s.opts.Authenticator.Recheck(ctx, c.Principal); err != nil {
		return err
	}
	return s.opts.Authorizer.Recheck(ctx, c.evidence)
}

// notThere is what the catalog says of what does not exist.
func notThere(r authz.Resource) error {
	switch r.Kind {
	case authz.KindNamespace:
		return catalog.NoSuchNamespace(r.Namespace)
	case authz.KindTable:
		return catalog.NoSuchTable(catalog.Identifier{Namespace: r.Namespace, Name: r.Name})
	case authz.KindView:
		return catalog.NoSuchView(catalog.Identifier{Namespace: r.Namespace, Name: r.Name})
	}
	return catalog.NoSuchWarehouse(r.Warehouse)
}

func isMissing(err error) bool {
	switch catalog.KindOf(err) {
	case catalog.KindNoSuchWarehouse, catalog.KindNoSuchNamespace, catalog.KindNoSuchTable, catalog.KindNoSuchView:
		return true
	}
	return errors.Is(err, authz.ErrDenied)
}
