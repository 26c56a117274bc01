package authz

import (
	"context"
	"encoding/json"
)

// Decision is what an authorizer tells of an answer besides yes or no, for the
// record.
type Decision struct {
	// Policies determined the answer, by their ids.
	Policies []string
	// PolicyVersion is of the set that they belong to.
	PolicyVersion string
	// Context is what else was looked at, as a JSON object: together with principal,
	// action and resource it is enough to decide again.
	Context json.RawMessage
}

type decisionKey struct{}

// WithDecision has an authorizer that is given the context tell of its decision.
func WithDecision(ctx context.Context, d *Decision) context.Context {
	return context.WithValue(ctx, decisionKey{}, d)
}

// Decided tells of a decision to whoever asked for it by WithDecision.
func Decided(ctx context.Context, d Decision) {
	if into, ok := ctx.Value(decisionKey{}).(*Decision); ok {
		*into = d
	}
}
