package policy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/cedar"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// What is kept of a set's history: as many of the last versions as fit, and never
// less than the one in force and the one before.
const (
	maxVersions  = 1000
	maxKeptBytes = 32 << 20
)

// maxCommentBytes bounds what is said about a change.
const maxCommentBytes = 1024

// Put is a text to be put in force.
type Put struct {
	Scope string
	Text  string
	Terms
}

// Terms are on what terms a set is changed.
type Terms struct {
	// Expect is the version that must be in force until then; nil takes any.
	Expect *uint64
	// Force changes it though its author may not change it back.
	Force bool
	// Comment is what the author says about it.
	Comment string
}

// By is who changes a set: its principal and context are those that a change back
// would be judged by.
type By = authz.Request

// Put puts a text in force, as a new version; the text that is in force already
// makes none. It refuses what is not a set of policies in the words of the schema,
// and what its author could not undo.
func (p *Policies) Put(ctx context.Context, ch catalog.Change, by By, q Put) (*Version, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	set, err := p.compile(q.Text, q.Scope)
	if err != nil {
		return nil, err
	}
	return p.change(ctx, ch, by, q.Scope, q.Terms, func(*state.View, *head) (*state.PolicyVersion, *cedar.Set, error) {
		return &state.PolicyVersion{Text: q.Text}, set, nil
	})
}

// Rollback puts the text of an earlier version in force again, as a new version.
func (p *Policies) Rollback(ctx context.Context, ch catalog.Change, by By, scope string, number uint64, terms Terms) (*Version, error) {
	if err := terms.check(); err != nil {
		return nil, err
	}
	return p.change(ctx, ch, by, scope, terms, func(v *state.View, h *head) (*state.PolicyVersion, *cedar.Set, error) {
		rec, err := h.at(v, number)
		if err != nil {
			return nil, nil, err
		}
		// It was valid when it was put, perhaps for a program with another vocabulary.
		set, err := p.compile(rec.GetText(), scope)
		if err != nil {
			return nil, nil, err
		}
		return &state.PolicyVersion{Text: rec.GetText(), RolledBackTo: &number}, set, nil
	})
}

func (t *Terms) check() error {
	if len(t.Comment) > maxCommentBytes || !utf8.ValidString(t.Comment) {
		return catalog.Refuse(catalog.KindInvalid, "The comment must be text of at most %d bytes", maxCommentBytes)
	}
	return nil
}

// compile makes a set of a text, or the refusal that names what is wrong with it.
func (p *Policies) compile(text, scope string) (*cedar.Set, error) {
	set, err := p.accept(text, scope)
	if err != nil {
		return nil, catalog.Refuse(catalog.KindInvalid, "Invalid policies: %v", err)
	}
	return set, nil
}

// accept makes a set of a text; its error is cedar.ErrInvalid.
func (p *Policies) accept(text, scope string) (*cedar.Set, error) {
	set, err := cedar.Compile(text, scope)
	if err != nil || p.opts.ReadRestrictions {
		return set, err
	}
	var wrong cedar.PolicyErrors
	for _, ref := range set.Restricting() {
		wrong = append(wrong, &cedar.PolicyError{Policy: ref.Policy, Line: ref.Line, Message: "it restricts what is read of tables, and this node does not hand restrictions out: " +
			"start every node with --read-restrictions before, or leave @row_filter and @column_mask out"})
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return set, nil
}

// change makes a new version of what next gives of a state.
func (p *Policies) change(
	ctx context.Context, ch catalog.Change, by By, scope string, terms Terms,
	next func(*state.View, *head) (*state.PolicyVersion, *cedar.Set, error),
) (*Version, error) {
	var made *Version
	key := state.PolicySetKey(scope)
	answer, err := p.log.Transact(ctx, ch.In(scope), key, func(_ context.Context, v *state.View) (*catalog.Plan, error) {
		h, err := findHead(v, scope)
		if err != nil {
			return nil, err
		}
		if err := h.expect(v, terms.Expect); err != nil {
			return nil, err
		}
		rec, set, err := next(v, h)
		if err != nil {
			return nil, err
		}
		plan := &catalog.Plan{Preconditions: h.unchanged()}
		rec.Sha256 = hash(rec.GetText())
		current, err := h.at(v, h.GetVersion())
		if err != nil {
			return nil, err
		}
		if bytes.Equal(current.GetSha256(), rec.GetSha256()) {
			rec, plan.Nothing = current, true
		} else {
			rec.Version = h.GetVersion() + 1
			rec.CreatedMs = max(p.log.NowMs(), v.TimeMs, current.GetCreatedMs())
			rec.AuthorId, rec.AuthorName, rec.Comment = by.Principal.ID, by.Principal.Name, terms.Comment
			if rec.Forced, err = undoable(by, scope, set, rec.GetCreatedMs(), terms.Force); err != nil {
				return nil, err
			}
			if err := h.put(v, plan, rec); err != nil {
				return nil, err
			}
		}
		plan.Outcome = &state.Answer{Outcome: &state.Answer_PolicyVersion{PolicyVersion: rec.GetVersion()}}
		plan.Applied = func(res command.Result) { made = show(scope, rec, true, res.Index) }
		return plan, nil
	})
	if err != nil {
		return nil, err
	}
	if answer != nil {
		number := answer.GetPolicyVersion()
		return p.Get(ctx, catalog.Read{}, scope, &number)
	}
	return made, nil
}

func hash(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// expect refuses where another version is in force than the author knows of.
func (h *head) expect(v *state.View, number *uint64) error {
	if number == nil || *number == h.GetVersion() {
		return nil
	}
	rec, err := h.at(v, h.GetVersion())
	if err != nil {
		return err
	}
	who := "nobody has put any"
	if h.GetVersion() > 0 {
		who = fmt.Sprintf("put by %s (%s) at %s", rec.GetAuthorId(), rec.GetAuthorName(), moment(rec.GetCreatedMs()).Format(time.RFC3339))
	}
	return catalog.Refuse(catalog.KindPoliciesChanged, "%s are at version %d and not %d (%s): look at what changed, and put them again with that version",
		capital(Name(h.scope)), h.GetVersion(), *number, who)
}

func capital(text string) string { return string(text[0]-'a'+'A') + text[1:] }

// unchanged is what it takes that the plan still fits when it lands.
func (h *head) unchanged() []*command.Precondition {
	key := state.PolicySetKey(h.scope)
	out := []*command.Precondition{command.KeyUnchanged(key, h.revision)}
	if h.revision == 0 {
		out[0] = command.KeyAbsent(key)
	}
	if h.scope != "" {
		out = append(out, command.KeyPresent(state.WarehouseKey(h.scope)))
	}
	return out
}

// undoable refuses a change after which its author could not change the set any
// more. It tells whether the author had to insist. The policies of a warehouse have
// no say in who may change them; those of the cluster have.
func undoable(by By, scope string, set *cedar.Set, nowMs uint64, force bool) (insisted bool, err error) {
	if scope != "" || by.Principal.BreakGlass {
		return false, nil
	}
	by.Action, by.Resource = authz.ActionManagePolicies, authz.Resource{Kind: authz.KindPolicySet}
	by.Context.Time = time.UnixMilli(int64(nowMs)).UTC()
	if (cedar.Sets{Cluster: set}).Decide(by).Allowed {
		return false, nil
	}
	if force {
		return true, nil
	}
	return false, catalog.Refuse(catalog.KindPolicyLockout,
		"Refused: with these policies %s (%s) could not change them any more; add one that permits %s on %s, or force it",
		by.Principal.ID, by.Principal.Name, authz.ActionManagePolicies, by.Resource)
}

// put plans a new version, and the end of those that there is no room for.
func (h *head) put(v *state.View, plan *catalog.Plan, rec *state.PolicyVersion) error {
	next := &state.PolicySet{
		Version: rec.GetVersion(), Sha256: rec.GetSha256(), Oldest: max(h.GetOldest(), 1),
		KeptBytes: h.GetKeptBytes() + uint64(len(rec.GetText())),
	}
	for next.GetVersion()-next.GetOldest() >= maxVersions || next.GetKeptBytes() > maxKeptBytes && next.GetOldest()+1 < next.GetVersion() {
		old, err := h.at(v, next.GetOldest())
		if err != nil {
			return err
		}
		plan.Writes = append(plan.Writes, command.DeleteKey(state.PolicyVersionKey(h.scope, next.GetOldest())))
		next.Oldest++
		next.KeptBytes -= min(uint64(len(old.GetText())), next.GetKeptBytes())
	}
	value, err := state.Encode(rec)
	if err != nil {
		return err
	}
	set, err := state.Encode(next)
	if err != nil {
		return err
	}
	plan.Writes = append(plan.Writes,
		command.PutValue(state.PolicyVersionKey(h.scope, rec.GetVersion()), value),
		command.PutValue(state.PolicySetKey(h.scope), set))
	kind := "policy.put"
	if rec.RolledBackTo != nil {
		kind = "policy.rollback"
	}
	plan.Events = append(plan.Events, &state.Event{Kind: kind, Warehouse: h.scope, Name: fmt.Sprint(rec.GetVersion())})
	return nil
}
