package catalog

import (
	"context"
	"errors"
	"slices"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
)

// maxTransactionTables bounds the tables of one transaction: far above what people
// use, and low enough that one request does not hold up a node.
const maxTransactionTables = 1000

// CommitTransaction changes several tables, all or none, and returns the log index
// that did it. Tables that were staged are created where their requirements say so.
func (c *Catalog) CommitTransaction(ctx context.Context, ch Change, warehouse string, reqs []CommitTable) (uint64, error) {
	if len(reqs) > maxTransactionTables {
		return 0, refuse(KindTooLarge, "Too many tables in one transaction: %d, at most %d are possible", len(reqs), maxTransactionTables)
	}
	names := make([][]byte, 0, len(reqs))
	seen := make(map[string]bool, len(reqs))
	for _, req := range reqs {
		if err := CheckIdentifier(req.Identifier); err != nil {
			return 0, err
		}
		name := state.TableKey(warehouse, req.Namespace, req.Name)
		if seen[string(name)] {
			return 0, refuse(KindInvalid, "Invalid transaction: table %s is in it twice; put all of its updates into one change", req.Identifier)
		}
		seen[string(name)] = true
		names = append(names, name)
	}
	index := uint64(0)
	_, err := c.changeAllIn(ctx, ch, warehouse, names, func(ctx context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
		p := &plan{outcome: doneAnswer()}
		p.then(func(res command.Result) { index = res.Index })
		drafts, err := c.draftAll(v, p, wh, reqs)
		if err != nil {
			return nil, err
		}
		p.nothing = len(drafts) == 0
		for _, d := range drafts {
			if err := c.writeDraft(ctx, p, wh, d, nil); err != nil {
				return p, inTable(d.id, err)
			}
		}
		return p, nil
	})
	return max(index, c.proposed.Load()), err
}

// draftAll evaluates the whole transaction before any of its files is written.
func (c *Catalog) draftAll(v *state.View, p *plan, wh *WarehouseInfo, reqs []CommitTable) ([]*draft, error) {
	var drafts []*draft
	var landed *Identifier
	var refusal error
	for i := range reqs {
		d, err := c.draftOne(v, p, wh, reqs[i])
		switch {
		case errors.Is(err, errLanded):
			landed = &reqs[i].Identifier
		case err != nil && refusal == nil:
			refusal = err
		case d != nil:
			drafts = append(drafts, d)
		}
	}
	if landed != nil {
		// Setting again what is set makes a new generation, if it is asked for alone.
		drafts = slices.DeleteFunc(drafts, func(d *draft) bool { return d.base != nil && d.table.SameContent(d.base) })
	}
	switch {
	case landed != nil && (refusal != nil || len(drafts) > 0):
		// Snapshots have numbers of their own: what is in one table came by this
		// transaction, and others have changed what it did to the rest. Or it
		// came by another way. "No" would have the client delete what that table
		// now refers to, and "yes" would lose the other changes.
		return nil, refuseBecause(KindCommitUnknown, refusal,
			"Table %s has the changes of this transaction already and other tables do not have them, or not any more: load the tables to see", landed)
	case refusal != nil:
		return nil, refusal
	}
	return drafts, nil
}

func (c *Catalog) draftOne(v *state.View, p *plan, wh *WarehouseInfo, req CommitTable) (*draft, error) {
	if err := confineAll(wh, iceberg.Locations(req.Updates)); err != nil {
		return nil, inTable(req.Identifier, err)
	}
	var d *draft
	e, err := find(v, wh, req.Identifier)
	switch {
	case err == nil:
		d, err = c.draftCommit(v, p, wh, req, e)
	case KindOf(err) == KindNoSuchTable && iceberg.IsCreate(req.Requirements):
		d, err = c.draftStagedCreate(v, p, wh, req)
	}
	if err != nil {
		return nil, inTable(req.Identifier, err)
	}
	return d, nil
}

// inTable says which table of a transaction a refusal is about, where the refusal
// does not say so itself.
func inTable(id Identifier, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Kind {
	case KindNoSuchTable, KindNoSuchNamespace, KindAlreadyExists:
		return err
	}
	return &Error{Kind: e.Kind, Message: id.String() + ": " + e.Message, Cause: e.Cause}
}
