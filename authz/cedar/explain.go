package cedar

import (
	"slices"

	"github.com/floeberg/floeberg/authz"
)

// Outcome is what became of a policy in a decision.
type Outcome string

// The outcomes.
const (
	// OutcomeApplies is of a policy that permits or forbids the request.
	OutcomeApplies Outcome = "applies"
	// OutcomeConditions is of one whose head fits and whose conditions do not hold.
	OutcomeConditions Outcome = "conditions do not hold"
	// OutcomeHead is of one whose head names another type or place.
	OutcomeHead Outcome = "head does not match"
	// OutcomeFailed is of one that could not be evaluated.
	OutcomeFailed Outcome = "failed"
)

// Considered is a policy that was looked at for a decision.
type Considered struct {
	Ref
	Outcome Outcome
	// Message is why it failed.
	Message string
}

// Explanation is a decision and how it came about.
type Explanation struct {
	Decision
	// Considered are the policies about the principal, the action and the place, in
	// the order of the texts; of the others none could have decided.
	Considered []Considered
	// Total is how many policies there are.
	Total int
}

// Explain decides about a request and tells why.
func (s Sets) Explain(r authz.Request) Explanation {
	var out Explanation
	q, err := s.ask(&r, r.Resource)
	if err != nil {
		return out
	}
	for _, set := range q.sets {
		if set != nil {
			out.Total += set.Len()
		}
	}
	all := q.candidates(q.request.Resource)
	out.Decision = q.decide(all)
	for _, p := range all {
		one := Considered{Ref: p.Ref, Outcome: OutcomeConditions}
		d := q.decide(some{p})
		switch {
		case len(d.Failures) > 0:
			one.Outcome, one.Message = OutcomeFailed, d.Failures[0].Message
		case len(d.Policies) > 0:
			one.Outcome = OutcomeApplies
		case !q.headMatches(p):
			one.Outcome = OutcomeHead
		}
		out.Considered = append(out.Considered, one)
	}
	slices.SortFunc(out.Considered, func(a, b Considered) int { return a.compare(b.Ref) })
	return out
}

// headMatches evaluates a policy without its conditions.
func (q *question) headMatches(p *policy) bool {
	d := q.decide(some{p.head()})
	return len(d.Policies) > 0
}
