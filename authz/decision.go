package authz

import "time"

// Decision is what is told of a ruling besides yes or no, for the record.
type Decision struct {
	// Policies determined the answer, by their ids.
	Policies []string
	// PolicyVersion is of the set that they belong to.
	PolicyVersion string
	// Restrictions are the policies that take something away from a right to load a table.
	Restrictions []string
	// Time is the replicated time by which it was made.
	Time time.Time
}
