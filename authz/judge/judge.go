// Package judge decides about requests by the policies in the replicated state.
package judge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/authz/cedar"
	"github.com/floeberg/floeberg/fsm/state"
)

// Options are what a Judge is made of.
type Options struct {
	// Local gives the state that this node has, however old. Required.
	Local func(context.Context) (*state.View, error)
	// Proven gives a state that has all that any read on this node has shown. Required.
	Proven func(context.Context) (*state.View, error)
	// Current gives a state that has everything acknowledged before. Required.
	Current func(context.Context) (*state.View, error)
	// NowMs is the replicated time. Required.
	NowMs func() uint64
	// DefaultWarehouse is the name that stands for "no warehouse was named".
	DefaultWarehouse string
	// Logger is told of policies that can't be used. Default slog.Default.
	Logger *slog.Logger
	// Evaluated is told how long each decision took; nil is not told.
	Evaluated func(time.Duration)
	// ConfirmTimeout bounds the wait for a current state. Default 5 s, enough for an
	// election.
	ConfirmTimeout time.Duration
}

// Judge decides by the policy sets of the replicated state. It keeps each set
// compiled as long as it is in force. It is safe for concurrent use.
type Judge struct {
	opts Options
	sets shelf
}

// New makes a judge over the replicated state.
func New(opts Options) (*Judge, error) {
	if opts.Local == nil || opts.Proven == nil || opts.Current == nil || opts.NowMs == nil {
		return nil, errors.New("judge: Local, Proven, Current and NowMs are required")
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Evaluated == nil {
		opts.Evaluated = func(time.Duration) {}
	}
	if opts.ConfirmTimeout <= 0 {
		opts.ConfirmTimeout = 5 * time.Second
	}
	return &Judge{opts: opts, sets: shelf{logger: opts.Logger}}, nil
}

// Authorize decides about a request. Its error is authn.ErrUnavailable where the
// state can't be looked at, or authn.ErrChanged where the principal is not what it
// was.
//
// A right that this node knows of is good without asking anybody: whoever acts on
// it proves by the evidence that it still holds. A right that it does not know of
// may have been given a moment ago on another node: a firm denial, which clients
// may act on for good, is made on a state that is proven current.
func (j *Judge) Authorize(ctx context.Context, r authz.Request, firm bool) (authz.Ruling, error) {
	v, err := j.opts.Local(ctx)
	if err != nil {
		return authz.Ruling{}, unavailable(err)
	}
	j.complete(&r)
	ruling, err := j.ruleAndClose(v, r)
	if err != nil || ruling.Allowed || !firm {
		return ruling, err
	}
	ctx, cancel := context.WithTimeout(ctx, j.opts.ConfirmTimeout)
	defer cancel()
	if v, err = j.opts.Current(ctx); err != nil {
		return ruling, unavailable(err)
	}
	holds, err := authz.Hold(v, r.Principal.Evidence)
	if err != nil || !holds {
		v.Close()
		if err != nil {
			return ruling, unavailable(err)
		}
		return ruling, authn.ErrChanged
	}
	return j.ruleAndClose(v, r)
}

// Filter decides about the resources of a kind that are directly in the request's
// resource, and tells the records that it rests on.
func (j *Judge) Filter(ctx context.Context, r authz.Request, kind authz.Kind) (authz.Filter, []authz.Evidence, error) {
	v, err := j.opts.Local(ctx)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	defer v.Close()
	j.complete(&r)
	found, err := j.find(v, r.Resource.Warehouse)
	if err != nil {
		return nil, nil, err
	}
	if found.broken {
		return nothing{}, found.evidence, nil
	}
	return found.sets.Filter(r, kind), found.evidence, nil
}

// nothing is the filter where policies can't be used.
type nothing struct{}

func (nothing) Allows(string) bool        { return false }
func (nothing) Ranges() []state.NameRange { return nil }

// Recheck proves on what this node has shown that evidence still holds; see
// authn.Keys.
func (j *Judge) Recheck(ctx context.Context, evidence []authz.Evidence) error {
	if len(evidence) == 0 {
		return nil
	}
	v, err := j.opts.Proven(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer v.Close()
	holds, err := authz.Hold(v, evidence)
	switch {
	case err != nil:
		return unavailable(err)
	case !holds:
		return authn.ErrChanged
	}
	return nil
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", authn.ErrUnavailable, err) }

// complete fills in what the one who asks need not know.
func (j *Judge) complete(r *authz.Request) {
	if r.Resource.Warehouse == "" && r.Resource.Kind != authz.KindCluster && r.Resource.Kind != authz.KindPolicySet {
		r.Resource.Warehouse = j.opts.DefaultWarehouse
	}
	if r.Context.Time.IsZero() {
		r.Context.Time = time.UnixMilli(int64(j.opts.NowMs()))
	}
}

// found is the policy sets that decide, as a state has them.
type found struct {
	sets     cedar.Sets
	versions map[string]uint64
	evidence []authz.Evidence
	// broken tells that one of them can't be used.
	broken bool
}

// find looks the sets up that decide about what is in a warehouse; "" is none.
func (j *Judge) find(v *state.View, warehouse string) (found, error) {
	out := found{versions: make(map[string]uint64, 2), evidence: make([]authz.Evidence, 0, 2)}
	take := func(scope string) (*cedar.Set, error) {
		head, revision, ok, err := v.PolicySet(scope)
		if err != nil {
			return nil, unavailable(err)
		}
		out.evidence = append(out.evidence, authz.Evidence{Key: state.PolicySetKey(scope), Revision: revision})
		if !ok {
			return nil, nil
		}
		out.versions[scope] = head.Version
		set, err := j.sets.get(v, scope, head.Version, revision)
		if err != nil {
			return nil, err
		}
		out.broken = out.broken || set == nil
		return set, nil
	}
	var err error
	if out.sets.Cluster, err = take(""); err != nil {
		return out, err
	}
	if out.sets.Cluster == nil && !out.broken {
		out.sets.Cluster = readyMade()
		out.versions[""] = 0
	}
	if warehouse != "" {
		out.sets.Warehouse, err = take(warehouse)
	}
	return out, err
}

func (j *Judge) ruleAndClose(v *state.View, r authz.Request) (authz.Ruling, error) {
	defer v.Close()
	begun := time.Now()
	f, err := j.find(v, r.Resource.Warehouse)
	if err != nil {
		return authz.Ruling{}, err
	}
	out := authz.Ruling{Versions: f.versions, Time: r.Context.Time, Evidence: f.evidence}
	if r.Principal.BreakGlass && (r.Action == authz.ActionShowPolicies || r.Action == authz.ActionManagePolicies) {
		out.Allowed, out.Policies = true, []string{"break-glass"}
		return out, nil
	}
	if f.broken {
		out.Failures = []string{"the policies can't be read"}
		out.Missing = missing(r, func(authz.Request) bool { return false })
		return out, nil
	}
	d := f.sets.Decide(r)
	out.Allowed, out.Restrictions = d.Allowed, d.Restricted()
	for _, p := range d.Policies {
		out.Policies = append(out.Policies, p.String())
	}
	for _, failed := range d.Failures {
		out.Failures = append(out.Failures, failed.String()+": "+failed.Message)
	}
	if !out.Allowed {
		out.Missing = missing(r, func(r authz.Request) bool { return f.sets.Decide(r).Allowed })
	}
	j.opts.Evaluated(time.Since(begun))
	return out, nil
}
