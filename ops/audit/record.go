package audit

import (
	"encoding/json"
	"time"
)

// Event is what a record is about.
type Event string

// The events.
const (
	// Authentication is a failure to tell who asks.
	Authentication Event = "authentication"
	// Decision is an answer to "may they": each denial, and each allowed change
	// before it is carried out.
	Decision Event = "decision"
	// Outcome is what became of a change that was allowed.
	Outcome Event = "outcome"
	// Credentials are handed out to somebody.
	Credentials Event = "credentials"
	// Begin is a process that begins to write.
	Begin Event = "begin"
	// End is one that stops in good order.
	End Event = "end"
	// Lost are records that are in no line, because a sink did not take them.
	Lost Event = "lost"
)

// Events are all of them.
func Events() []Event {
	return []Event{Authentication, Decision, Outcome, Credentials, Begin, End, Lost}
}

// Verdict is what was decided.
type Verdict string

// The verdicts.
const (
	Allow Verdict = "allow"
	Deny  Verdict = "deny"
)

// Resource is what something is done to, by names that are kept apart.
type Resource struct {
	Kind      string   `json:"kind"`
	Warehouse string   `json:"warehouse,omitempty"`
	Namespace []string `json:"namespace,omitempty"`
	Name      string   `json:"name,omitempty"`
}

// Record is one thing that happened. It holds no secret: neither keys nor tokens
// nor headers, bodies, parameters or properties of requests have a place in it.
type Record struct {
	// Time is set by the log. It is later in each record of a node than in the one
	// before, whatever the clock does.
	Time time.Time `json:"time"`
	// Node is set by the log.
	Node  string `json:"node"`
	Event Event  `json:"event"`
	// RequestID is common to all records of a request, and to its log lines.
	RequestID string `json:"request_id,omitempty"`

	// Principal is the id of who asks; the other fields are what it had then.
	Principal     string   `json:"principal,omitempty"`
	PrincipalName string   `json:"principal_name,omitempty"`
	PrincipalType string   `json:"principal_type,omitempty"`
	Tenant        string   `json:"tenant,omitempty"`
	Groups        []string `json:"groups,omitempty"`
	// Source is the address that the request came from.
	Source string `json:"source,omitempty"`

	Action   string    `json:"action,omitempty"`
	Resource *Resource `json:"resource,omitempty"`
	Decision Verdict   `json:"decision,omitempty"`
	// Reason is one of a few words for a failure.
	Reason string `json:"reason,omitempty"`
	// Policies determined the decision, by their ids, in the set of PolicyVersion.
	Policies      []string `json:"policies,omitempty"`
	PolicyVersion string   `json:"policy_version,omitempty"`
	// Restrictions are the policies, by their ids, that say what must not be read of the
	// table.
	Restrictions []string `json:"restrictions,omitempty"`
	// Context is what else was looked at, a JSON object: of a decision its
	// Circumstances.
	Context json.RawMessage `json:"context,omitempty"`

	// Status is what the client was answered, Error the type of the error.
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
	// Index is the log index at which a change took place.
	Index uint64 `json:"index,omitempty"`
	// Count is how many things a record stands for, where that is not one.
	Count uint64 `json:"count,omitempty"`
}
