package management

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/restriction"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/iceberg"
	"github.com/floeberg/floeberg/internal/policy"
)

// PolicyRestriction is what a policy takes away from the right to load a table.
type PolicyRestriction struct {
	PolicyRef
	// RowFilter is what rows must fulfil; null is nothing.
	RowFilter *json.RawMessage `json:"row_filter"`
	// ColumnMask is what is shown of columns.
	ColumnMask map[string]string `json:"column_mask"`
}

// explainRestrictions adds what is restricted, and what becomes of that on the table
// itself: to those who may load it, since it tells which columns there are.
func (a *api) explainRestrictions(ctx context.Context, c *serve.Call, e *policy.Explanation, out *PolicyExplanation) error {
	if len(e.Restrictions) == 0 {
		return nil
	}
	for _, r := range e.Restrictions {
		shown := PolicyRestriction{PolicyRef: showPolicyRef(r.Ref), ColumnMask: map[string]string{}}
		if r.Filter != nil {
			shown.RowFilter = raw(r.Filter.JSON())
		}
		for _, m := range r.Masks {
			shown.ColumnMask[m.Column] = string(m.Action)
		}
		out.Restrictions = append(out.Restrictions, shown)
	}
	if !e.HandedOut {
		problem := "this node hands out no restrictions: start it with --read-restrictions"
		out.RestrictionProblem = &problem
		return nil
	}
	table := e.Request.Resource
	if !c.Sees(ctx, authz.ActionLoadTable, table) {
		return nil
	}
	t, err := a.catalog.LoadTable(ctx, table.Warehouse, catalog.Identifier{Namespace: table.Namespace, Name: table.Name}, catalog.LoadOptions{Read: c.Read, RefsOnly: true})
	switch catalog.KindOf(err) {
	case catalog.KindNoSuchWarehouse, catalog.KindNoSuchNamespace, catalog.KindNoSuchTable:
		return nil
	}
	if err != nil {
		return err
	}
	lineage, err := iceberg.ReadLineage(t.Metadata)
	if err != nil {
		return err
	}
	bound, err := e.Restricted().Bind(lineage)
	if errors.Is(err, restriction.ErrUnfit) {
		problem := err.Error()
		out.RestrictionProblem = &problem
		return nil
	}
	if err != nil {
		return err
	}
	out.ReadRestrictions = raw(bound.JSON())
	return nil
}

// raw is what is JSON already.
func raw(text json.RawMessage) *json.RawMessage { return &text }
