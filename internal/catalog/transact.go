package catalog

import (
	"context"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// Plan is one attempt at a change by a room beside the catalog: what to propose,
// and what to do then.
type Plan struct {
	Preconditions []*command.Precondition
	Writes        []*command.Write
	Events        []*state.Event
	// Nothing tells that there is nothing to change.
	Nothing bool
	// Outcome is what a repeat under the same Idempotency-Key gets; nil is that it
	// was done.
	Outcome *state.Answer
	// Applied is called with the final result; nil is not.
	Applied func(command.Result)
}

// Transact carries out a change of what is no table, with all that holds for
// those: it is tried anew where others came first, lands only while the guards of
// the change hold, and is carried out once under an Idempotency-Key. Changes of
// one name wait for each other on this node.
//
// The attempt refuses with an *Error. It is given this node's own state first and
// has to require of it what its plan rests on; a refusal that another state could
// have led to (see Kind) counts only when it was made again from one proven current.
//
// Transact returns nil once a plan was applied, the remembered outcome where the same request
// was carried out before, or a refusal.
func (c *Catalog) Transact(ctx context.Context, ch Change, name []byte, attempt func(context.Context, *state.View) (*Plan, error)) (*state.Answer, error) {
	return c.change(ctx, ch, name, func(ctx context.Context, v *state.View) (*plan, error) {
		given, err := attempt(ctx, v)
		if err != nil {
			return nil, err
		}
		p := &plan{
			preconditions: given.Preconditions, writes: given.Writes, events: given.Events,
			nothing: given.Nothing, outcome: given.Outcome, applied: given.Applied,
		}
		if p.outcome == nil {
			p.outcome = doneAnswer()
		}
		return p, nil
	})
}

// View gives the state as current as a read asks for, or the refusal that clients
// get where there is none. The caller closes it.
func (c *Catalog) View(ctx context.Context, read Read) (*state.View, error) { return c.view(ctx, read) }

// NowMs is the replicated time, milliseconds since the Unix epoch.
func (c *Catalog) NowMs() uint64 { return c.log.NowMs() }

// Refuse is a refusal for a client.
func Refuse(kind Kind, format string, args ...any) error { return refuse(kind, format, args...) }

// Broken is the refusal for a state that can't be read: a defect of this node's disk.
func Broken(err error) error { return broken(err) }
