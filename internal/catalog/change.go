package catalog

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// maxTransactionBytes bounds one log entry's data; far above any commit.
const maxTransactionBytes = 48 << 20

// maxAttempts bounds how often a change is tried anew after others overtook it.
const maxAttempts = 50

// plan is one attempt at a change: what to propose, and what to do then.
type plan struct {
	preconditions []*command.Precondition
	writes        []*command.Write
	events        []*state.Event
	// claimed are the places that the plan makes an entry's own, with those around
	// them: true at the place itself.
	claimed map[string]bool
	// nothing tells that there is nothing to change: the answer needs a state
	// proven current, and no log entry but for its own remembrance.
	nothing bool
	// outcome is what a repeat under the same Idempotency-Key gets.
	outcome *state.Answer
	// applied is called with the final result.
	applied func(command.Result)
	// files are the metadata files that were written for it. No table will ever
	// point to them where it certainly does not apply.
	files []string
	// warehouse is whose store they are in.
	warehouse string
}

func (p *plan) require(conds ...*command.Precondition) {
	p.preconditions = append(p.preconditions, conds...)
}

func (p *plan) write(writes ...*command.Write) { p.writes = append(p.writes, writes...) }

func (p *plan) tell(event *state.Event) { p.events = append(p.events, event) }

// then adds to what is done once the plan is applied.
func (p *plan) then(do func(command.Result)) {
	before := p.applied
	if before == nil {
		p.applied = do
		return
	}
	p.applied = func(res command.Result) {
		before(res)
		do(res)
	}
}

func (p *plan) putRecord(key []byte, record proto.Message) error {
	data, err := state.Encode(record)
	if err != nil {
		return err
	}
	p.write(command.PutValue(key, data))
	return nil
}

// change carries out a mutation. Those of one name wait for each other on this
// node: name is the key of the entity, or another one for what need not wait.
//
// The attempt looks at a state and either plans a transaction or refuses. It
// starts from this node's own state, unproven: the preconditions are the proof of
// a go-ahead. A refusal counts only where the state was proven current, so that
// no client is turned away by the past.
//
// A plan that comes with a refusal is not proposed, and its files are deleted.
//
// It returns nil once a plan was applied (its applied function was called), the
// remembered answer where the same request was carried out before, or a refusal.
func (c *Catalog) change(ctx context.Context, ch Change, name []byte, attempt func(context.Context, *state.View) (*plan, error)) (*state.Answer, error) {
	return c.changeAll(ctx, ch, [][]byte{name}, attempt)
}

// changeIn is change for what is in a warehouse. The attempt is given the warehouse as the
// state has it, and lands only while it is so: where tables may lie, and in whose store,
// may be changed on another node meanwhile.
func (c *Catalog) changeIn(ctx context.Context, ch Change, warehouse string, name []byte, attempt attemptIn) (*state.Answer, error) {
	return c.changeAllIn(ctx, ch, warehouse, [][]byte{name}, attempt)
}

// attemptIn is one attempt at a change of what is in a warehouse.
type attemptIn func(context.Context, *state.View, *WarehouseInfo) (*plan, error)

// changeAllIn is changeIn for what concerns several names.
func (c *Catalog) changeAllIn(ctx context.Context, ch Change, warehouse string, names [][]byte, attempt attemptIn) (*state.Answer, error) {
	ch.warehouse = warehouse
	if warehouse == "" {
		ch.warehouse = c.opts.DefaultWarehouse
	}
	return c.changeAll(ctx, ch, names, func(ctx context.Context, v *state.View) (*plan, error) {
		wh, err := c.warehouse(v, ch.warehouse)
		if err != nil {
			return nil, err
		}
		p, err := attempt(ctx, v, wh)
		if p != nil {
			p.warehouse = wh.Name
			p.require(command.KeyUnchanged(state.WarehouseKey(wh.Name), wh.Revision))
		}
		return p, err
	})
}

// changeAll is change for what concerns several names.
func (c *Catalog) changeAll(ctx context.Context, ch Change, names [][]byte, attempt func(context.Context, *state.View) (*plan, error)) (*state.Answer, error) {
	leave, err := c.queues.enterAll(ctx, names)
	if err != nil {
		return nil, err
	}
	defer leave()
	if ch.Key != "" {
		// A repeat that arrives while the first is under way waits for it here,
		// and elsewhere is caught by the precondition on the answer's key.
		leave, err := c.answers.enter(ctx, string(state.AnswerKey(ch.Principal, ch.Key)))
		if err != nil {
			return nil, err
		}
		defer leave()
	}
	proven := false // the state that is looked at is newer than the request
	read := Read{Consistency: Stale}
	for tries := 0; tries < maxAttempts; tries++ {
		v, err := c.startFrom(ctx, read)
		if err != nil {
			return nil, err
		}
		answer, next, err := c.step(ctx, ch, v, proven, attempt)
		switch next {
		case finished:
			return answer, err
		case prove:
			read.Consistency = Linearizable
		case overtaken:
			// The entry that decided against us came after the request did, so
			// this node's state is proof enough once it has that entry.
			read.Consistency = Stale
			if tries > 2 {
				// Only where many nodes change one thing at once: spread them.
				pause(ctx, time.Duration(1+rand.IntN(2*tries))*time.Millisecond)
			}
		}
		proven = true
	}
	return nil, refuse(KindCommitFailed, "Commit failed: other changes of the same entity came first %d times; refresh and try again", maxAttempts)
}

// startFrom gives a state that has everything this node's own changes led to.
func (c *Catalog) startFrom(ctx context.Context, read Read) (*state.View, error) {
	if err := ctx.Err(); err != nil {
		return nil, refuseBecause(KindUnavailable, err, "The change took too long; nothing was changed")
	}
	if err := c.log.WaitApplied(ctx, c.proposed.Load()); err != nil {
		return nil, refuseBecause(KindUnavailable, err, "This node is behind the log; nothing was changed")
	}
	if !c.heard.Load() {
		// A node that was down may take the moment at which it went for now, and
		// would stamp documents and the end of remembered answers by that.
		read.Consistency = Linearizable
	}
	return c.view(ctx, read)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// next is what follows an attempt.
type next uint8

const (
	finished  next = iota
	prove          // the refusal must be made again from a state proven current
	overtaken      // another change came first
)

// step makes one attempt on one state, which it closes.
func (c *Catalog) step(ctx context.Context, ch Change, v *state.View, proven bool, attempt func(context.Context, *state.View) (*plan, error)) (*state.Answer, next, error) {
	defer v.Close()
	// Before anything is written on the strength of a right.
	err := checkGuards(v, ch)
	if err == nil && ch.Key != "" {
		if ch.warehouseID, err = warehouseID(v, ch.warehouse); err != nil {
			return nil, finished, err
		}
		answer, found, failed := c.remembered(v, ch)
		switch {
		case found && !proven:
			// Who has lost the right since gets no answer out of the past.
			return nil, prove, nil
		case found || failed != nil:
			return answer, finished, failed
		}
	}
	var p *plan
	if err == nil {
		p, err = attempt(ctx, v)
		if err != nil && p != nil {
			c.deleteOrphans(p.warehouse, p.files...)
		}
	}
	switch {
	case err == nil && p.nothing && ch.Key == "":
		if !proven {
			return nil, prove, nil
		}
		if p.applied != nil {
			p.applied(command.Result{Outcome: command.Applied, Index: v.Index})
		}
		return nil, finished, nil
	case err == nil:
		n, err := c.propose(ctx, ch, p)
		return nil, n, err
	case !dependsOnState(err):
		return nil, finished, err
	case !proven:
		return nil, prove, nil
	case ch.Key == "" || KindOf(err) == KindRevoked || KindOf(err) == KindCommitUnknown:
		// Who lost the right gets no answer of the catalog's to keep, and what is
		// not known is none.
		return nil, finished, err
	default:
		n, err := c.rememberRefusal(ctx, ch, err)
		return nil, n, err
	}
}

func checkGuards(v *state.View, ch Change) error {
	for _, g := range ch.Guards {
		holds, err := g.holds(v)
		if err != nil {
			return broken(err)
		}
		if !holds {
			return refuse(KindRevoked, "The right to do this changed while the request was under way")
		}
	}
	return nil
}

// dependsOnState tells whether another state could have led to another answer.
func dependsOnState(err error) bool {
	switch KindOf(err) {
	case KindRevoked, KindNoSuchWarehouse, KindNoSuchNamespace, KindNoSuchTable, KindNoSuchView, KindNoSuchTask,
		KindNoSuchPolicyVersion, KindPoliciesChanged, KindPolicyLockout,
		KindWarehouseRefused, KindWarehouseChanged,
		KindNoSuchKey, KindKeyRefused, KindKeyForbidden,
		KindAlreadyExists, KindNotEmpty, KindCommitFailed, KindCommitUnknown,
		KindInvalid, KindForbiddenLocation, KindTooLarge:
		return true
	}
	return false
}

// propose puts a plan into the log.
func (c *Catalog) propose(ctx context.Context, ch Change, p *plan) (next, error) {
	abandon := func() { c.deleteOrphans(p.warehouse, p.files...) }
	tx, err := c.transaction(ch, p)
	if err != nil {
		abandon()
		return finished, err
	}
	res, err := c.log.Propose(ctx, tx)
	switch {
	case errors.Is(err, ErrQueueFull):
		abandon()
		return finished, refuseBecause(KindBusy, err, "Too many changes are waiting; nothing was changed, try again")
	case errors.Is(err, ErrNotMember):
		abandon()
		return finished, refuseBecause(KindUnavailable, err, "This node was removed from its cluster and nothing was changed; ask another one")
	case errors.Is(err, ErrNotProposed):
		abandon()
		return finished, refuseBecause(KindUnavailable, err, "There is no leader to take the change; nothing was changed, try again")
	case err != nil:
		// ErrOutcomeUnknown, and whatever else is not known to have left nothing behind.
		return finished, refuseBecause(KindCommitUnknown, err, "The change was proposed and its outcome is not known")
	}
	c.noteProposed(res.Index)
	switch {
	case res.Outcome == command.Applied:
		if p.applied != nil {
			p.applied(res)
		}
		return finished, nil
	case res.Outcome == command.Rejected && res.Failed == command.Malformed:
		abandon()
		return finished, refuse(KindInvalid, "The change can't be written to the log: the state machine refuses its form")
	case res.Outcome == command.Rejected, res.Outcome == command.Expired:
		abandon()
		if call := c.opts.Observer.Conflict; call != nil && res.Outcome == command.Rejected {
			call()
		}
		return overtaken, nil
	default:
		return finished, refuse(KindCommitUnknown, "The change was proposed and its outcome is not remembered any more")
	}
}

func (c *Catalog) noteProposed(index uint64) {
	for {
		old := c.proposed.Load()
		if index <= old || c.proposed.CompareAndSwap(old, index) {
			return
		}
	}
}

func (c *Catalog) transaction(ch Change, p *plan) (*command.Transaction, error) {
	tx := &command.Transaction{Preconditions: p.preconditions, Writes: p.writes}
	for _, g := range ch.Guards {
		tx.Preconditions = append(tx.Preconditions, g.precondition())
	}
	if ch.Key != "" {
		cond, write, err := c.remember(ch, p.outcome)
		if err != nil {
			return nil, err
		}
		tx.Preconditions = append(tx.Preconditions, cond)
		tx.Writes = append(tx.Writes, write)
	}
	for _, event := range p.events {
		event.Principal = ch.Principal
		payload, err := state.Encode(event)
		if err != nil {
			return nil, err
		}
		tx.Events = append(tx.Events, &command.Event{Payload: payload})
	}
	if size := proto.Size(tx); size > maxTransactionBytes {
		return nil, refuse(KindTooLarge, "The change is too large: %d bytes, at most %d are possible", size, maxTransactionBytes)
	}
	for _, w := range tx.Writes {
		if size := len(w.GetPut().GetValue()); size > command.MaxValueBytes {
			return nil, refuse(KindTooLarge, "A part of the change is too large: %d bytes, at most %d are possible", size, command.MaxValueBytes)
		}
	}
	return tx, nil
}
