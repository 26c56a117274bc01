package authz

import (
	"time"

	"github.com/floeberg/floeberg/authz/restriction"
	"github.com/floeberg/floeberg/fsm/state"
)

// Ruling is what was decided about a request, and on what grounds.
type Ruling struct {
	Allowed bool
	// Missing is, of a denial, what the principal is told is not there: what it may
	// not see looks like what does not exist. Nil where it may know that it is there.
	Missing *Resource
	// Restrictions are, of an allowed look at a table, what the one who asks must not
	// read of it. Whoever hands out the table's metadata must hand them out with it, and
	// whoever hands out access to its files must not where the reader can't keep to them.
	Restrictions restriction.Set
	// Policies are those that decided, by scope and name.
	Policies []string
	// Failures are the policies that could not be evaluated, and why.
	Failures []string
	// Versions are the versions of the policy sets that were asked, by scope: of a
	// warehouse by its name, of the cluster by "". Version 0 is the ready-made one.
	Versions map[string]uint64
	// Time is the replicated time by which it was decided.
	Time time.Time
	// Evidence is the records that the ruling rests on.
	Evidence []Evidence
}

// Filter decides which entries of a listing a principal may see. It is not safe for
// concurrent use.
type Filter interface {
	// Allows decides about the entry of a name.
	Allows(name string) bool
	// Ranges are where all names are that can be allowed, in byte order and apart from
	// each other: what is elsewhere need not be looked at.
	Ranges() []state.NameRange
}
