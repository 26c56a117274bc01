// Package policy manages the policies that decide who may do what: one set for the
// whole cluster and one for each warehouse, with a history of what each was before.
package policy

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/floeberg/floeberg/authz/cedar"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Log is the replicated state and how it is changed.
type Log interface {
	// Transact carries out a change.
	Transact(ctx context.Context, ch catalog.Change, name []byte, attempt func(context.Context, *state.View) (*catalog.Plan, error)) (*state.Answer, error)
	// View gives the state as current as the read asks for. The caller closes it.
	View(ctx context.Context, read catalog.Read) (*state.View, error)
	// NowMs is the replicated time, milliseconds since the Unix epoch.
	NowMs() uint64
}

// Policies is the policy sets of a cluster. A set goes by its scope: a warehouse's
// by the warehouse's name, the cluster's by "". It is safe for concurrent use.
type Policies struct {
	log  Log
	opts Options
}

// Options are what policies may do.
type Options struct {
	// ReadRestrictions lets policies restrict what is read of tables. Without it they are
	// refused: nobody would be told of what they restrict.
	ReadRestrictions bool
}

// New makes it over a log.
func New(log Log, opts Options) (*Policies, error) {
	if log == nil {
		return nil, errors.New("policy: Log is missing")
	}
	return &Policies{log: log, opts: opts}, nil
}

// Version is the text that a set had, or has, from one change to the next.
type Version struct {
	Scope string
	// Number is 1 for the first that was put. What there was before is 0.
	Number uint64
	Text   string
	// SHA256 is of the text, in hex.
	SHA256 string
	// Created is zero where nobody put it.
	Created time.Time
	// AuthorID and AuthorName are who put it; "" where nobody did.
	AuthorID, AuthorName string
	Comment              string
	// RolledBackTo is the version whose text it has again; nil where it was put as text.
	RolledBackTo *uint64
	// Forced tells that its author insisted on it.
	Forced bool
	// InForce tells that it is what decides.
	InForce bool
	Index   uint64
}

func show(scope string, rec *state.PolicyVersion, inForce bool, index uint64) *Version {
	return &Version{
		Scope: scope, Number: rec.GetVersion(), Text: rec.GetText(), SHA256: hex.EncodeToString(rec.GetSha256()), Created: moment(rec.GetCreatedMs()),
		AuthorID: rec.GetAuthorId(), AuthorName: rec.GetAuthorName(), Comment: rec.GetComment(), RolledBackTo: rec.RolledBackTo,
		Forced: rec.GetForced(), InForce: inForce, Index: index,
	}
}

func moment(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}

// Name is a scope as messages show it.
func Name(scope string) string {
	if scope == "" {
		return "the policies of the cluster"
	}
	return "the policies of warehouse " + scope
}

// original is version 0 of a scope: what there is before anything is put.
func original(scope string) *state.PolicyVersion {
	rec := &state.PolicyVersion{}
	if scope == "" {
		rec.Text = cedar.DefaultText
	}
	rec.Sha256 = hash(rec.Text)
	return rec
}

// head is a scope's set as a state has it.
type head struct {
	scope string
	*state.PolicySet
	// revision is 0 where nothing was put yet.
	revision uint64
}

func findHead(v *state.View, scope string) (*head, error) {
	if scope != "" {
		_, _, ok, err := v.Warehouse(scope)
		if err != nil {
			return nil, catalog.Broken(err)
		}
		if !ok {
			return nil, catalog.Refuse(catalog.KindNoSuchWarehouse, "Warehouse does not exist: %s", catalog.Brief(scope))
		}
	}
	rec, revision, _, err := v.PolicySet(scope)
	if err != nil {
		return nil, catalog.Broken(err)
	}
	return &head{scope: scope, PolicySet: rec, revision: revision}, nil
}

// version gives one of the set's versions.
func (h *head) at(v *state.View, number uint64) (*state.PolicyVersion, error) {
	if number == 0 {
		return original(h.scope), nil
	}
	rec, ok, err := v.PolicyVersion(h.scope, number)
	switch {
	case err != nil:
		return nil, catalog.Broken(err)
	case ok:
		return rec, nil
	case number > h.GetVersion():
		return nil, catalog.Refuse(catalog.KindNoSuchPolicyVersion, "Version %d does not exist: %s are at version %d", number, Name(h.scope), h.GetVersion())
	}
	return nil, catalog.Refuse(catalog.KindNoSuchPolicyVersion, "Version %d of %s is not kept any more; the oldest is %d", number, Name(h.scope), h.GetOldest())
}

// look gives a scope's set in a state. The caller closes the state.
func (p *Policies) look(ctx context.Context, read catalog.Read, scope string) (*state.View, *head, error) {
	v, err := p.log.View(ctx, read)
	if err != nil {
		return nil, nil, err
	}
	h, err := findHead(v, scope)
	if err != nil {
		v.Close()
		return nil, nil, err
	}
	return v, h, nil
}

// Get returns a version of a scope's policies; nil is the one in force.
func (p *Policies) Get(ctx context.Context, read catalog.Read, scope string, number *uint64) (*Version, error) {
	v, h, err := p.look(ctx, read, scope)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	wanted := h.GetVersion()
	if number != nil {
		wanted = *number
	}
	rec, err := h.at(v, wanted)
	if err != nil {
		return nil, err
	}
	return show(scope, rec, wanted == h.GetVersion(), v.Index), nil
}

// Difference is how one version becomes another.
type Difference struct {
	From, To *Version
	// Diff is as `diff -u` shows it; "" where they are equal.
	Diff string
}

// Diff compares two versions of a scope's policies; nil as the second is the one in force.
func (p *Policies) Diff(ctx context.Context, read catalog.Read, scope string, from uint64, to *uint64) (*Difference, error) {
	v, h, err := p.look(ctx, read, scope)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	second := h.GetVersion()
	if to != nil {
		second = *to
	}
	var shown [2]*Version
	for i, number := range []uint64{from, second} {
		rec, err := h.at(v, number)
		if err != nil {
			return nil, err
		}
		shown[i] = show(scope, rec, number == h.GetVersion(), v.Index)
	}
	return &Difference{From: shown[0], To: shown[1], Diff: Diff(shown[0].title(), shown[0].Text, shown[1].title(), shown[1].Text)}, nil
}

// title names a version in a comparison.
func (v *Version) title() string {
	name := "cluster"
	if v.Scope != "" {
		name = "warehouse/" + v.Scope
	}
	return fmt.Sprintf("%s version %d", name, v.Number)
}
