package command

import "strconv"

// Outcome is what became of a transaction. The numbers are stored and sent
// between nodes: they are never renumbered.
type Outcome uint8

// The outcomes.
const (
	// Applied means that all its writes took effect.
	Applied Outcome = 1
	// Rejected means that a precondition did not hold: nothing took effect, or will.
	Rejected Outcome = 2
	// Expired means that its deadline had passed: nothing took effect, or will.
	Expired Outcome = 3
	// Forgotten means that the deadline passed so long ago that an earlier copy
	// may have been applied and forgotten since: this copy took no effect, nothing
	// is known about another. Only a copy that was on its way for longer than
	// identities are kept past their deadline can meet it.
	Forgotten Outcome = 4
)

// String names the outcome, for logs.
func (o Outcome) String() string {
	switch o {
	case Applied:
		return "applied"
	case Rejected:
		return "rejected"
	case Expired:
		return "expired"
	case Forgotten:
		return "forgotten"
	default:
		return "unknown outcome " + strconv.Itoa(int(o))
	}
}

// Malformed is the Failed of a transaction that was rejected for what it is and
// not for a precondition. Encode refuses such a transaction before it gets here.
const Malformed = -1

// Result is the state machine's answer to one transaction.
type Result struct {
	Outcome Outcome
	// Failed is the first precondition that did not hold, an index into the
	// transaction's list, or Malformed; meaningful only where the outcome is Rejected.
	Failed int
	// Revision that its writes carry; meaningful only where the outcome is Applied.
	Revision uint64
	// Index of the log entry that decided it. A node that has applied it sees why.
	Index uint64
}
