package authz

import "encoding/json"

// Decision is what is told of a ruling besides yes or no, for the record.
type Decision struct {
	// Policies determined the answer, by their ids.
	Policies []string
	// PolicyVersion is of the set that they belong to.
	PolicyVersion string
	// Restrictions are the policies that take something away from a right to load a table.
	Restrictions []string
	// Context is what else was looked at, as a JSON object: together with principal,
	// action and resource it is enough to decide again.
	Context json.RawMessage
}
