package authz

import "errors"

// ErrDenied is returned when a principal may not do what it asks for.
var ErrDenied = errors.New("authz: denied")

// The groups that exist from the start. What they may do is said by policies.
const (
	GroupAdmin   = "admin"
	GroupWriter  = "writer"
	GroupReader  = "reader"
	GroupAuditor = "auditor"
)
