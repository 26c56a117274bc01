package catalog

import (
	"bytes"
	"context"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// remembered looks for the answer that an earlier request under the same
// Idempotency-Key got. A remembered refusal comes back as the error it was, and
// is found all the same.
func (c *Catalog) remembered(v *state.View, ch Change) (answer *state.Answer, found bool, err error) {
	answer, found, err = v.Answer(ch.Principal, ch.Key)
	if err != nil {
		return nil, false, broken(err)
	}
	if !found {
		return nil, false, nil
	}
	if !bytes.Equal(answer.Fingerprint, ch.Fingerprint) {
		return nil, true, refuse(KindKeyReused, "Idempotency-Key %s was used for another request; send a new key", ch.Key)
	}
	if then := answer.WarehouseId; len(then) > 0 && len(ch.warehouseID) > 0 && !bytes.Equal(then, ch.warehouseID) {
		// What it was answered with is gone with the warehouse that had the name then.
		return nil, true, refuse(KindKeyReused, "Idempotency-Key %s was used for a warehouse of this name that is gone; send a new key", ch.Key)
	}
	if f := answer.GetFailure(); f != nil {
		return nil, true, &Error{Kind: Kind(f.Kind), Message: f.Message}
	}
	return answer, true, nil
}

// remember gives what a transaction must carry so that its answer lives and
// dies with the change itself.
func (c *Catalog) remember(ch Change, outcome *state.Answer) (*command.Precondition, *command.Write, error) {
	key := state.AnswerKey(ch.Principal, ch.Key)
	outcome.Fingerprint, outcome.WarehouseId = ch.Fingerprint, ch.warehouseID
	data, err := state.Encode(outcome)
	if err != nil {
		return nil, nil, err
	}
	expires := c.log.NowMs() + uint64(c.opts.AnswerLifetime.Milliseconds())
	return command.KeyAbsent(key), command.PutExpiring(key, data, expires), nil
}

// rememberRefusal keeps a refusal that the state decided, so that a repeat gets
// it again whatever has changed since.
func (c *Catalog) rememberRefusal(ctx context.Context, ch Change, refusal error) (next, error) {
	failure := &state.Failure{Kind: string(KindOf(refusal)), Message: clientText(refusal)}
	n, err := c.propose(ctx, ch, &plan{
		outcome: &state.Answer{Outcome: &state.Answer_Failure{Failure: failure}},
	})
	switch {
	case KindOf(err) == KindCommitUnknown:
		// Only the note of the refusal is in doubt.
		return finished, refuseBecause(KindUnavailable, err, "Nothing was changed; try again")
	case err != nil || n != finished:
		return n, err
	}
	return finished, refusal
}

// tableAnswer is the answer that shows a generation of a table.
func tableAnswer(rec *state.Table) *state.Answer {
	return &state.Answer{Outcome: &state.Answer_Table{Table: &state.TableAnswer{
		Id: rec.Id, MetadataLocation: rec.MetadataLocation, Location: rec.Location,
	}}}
}

// doneAnswer is the answer of a change that has none.
func doneAnswer() *state.Answer {
	return &state.Answer{Outcome: &state.Answer_Done{Done: &state.Done{}}}
}
