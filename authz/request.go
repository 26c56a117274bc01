package authz

import (
	"net/netip"
	"time"
)

// Request is one question: may the principal do this to that, now and from there.
type Request struct {
	Principal Principal
	Action    Action
	Resource  Resource
	Context   Context
}

// Context is what a decision may depend on beside who does what to what.
type Context struct {
	// Time is the replicated time.
	Time time.Time
	// Source is the address that the request came from; the zero value is one that
	// is not known, and what depends on it is not allowed.
	Source netip.Addr
	// Access is the access to files that was asked for.
	Access Access
	// ReferencedBy is the views through which the caller says that it reads,
	// outermost first.
	ReferencedBy []Resource
}

// Access is the access to a table's files that a caller asks for.
type Access string

// The accesses.
const (
	AccessNone  Access = "none"
	AccessRead  Access = "read"
	AccessWrite Access = "write"
)
