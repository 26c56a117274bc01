package authz

import (
	"context"
	"errors"
	"fmt"
)

// ErrDenied is returned when a principal may not do what it asks for.
var ErrDenied = errors.New("authz: denied")

// The groups that exist from the start.
const (
	GroupAdmin   = "admin"
	GroupWriter  = "writer"
	GroupReader  = "reader"
	GroupAuditor = "auditor"
)

// Groups decides by the groups that exist from the start. An admin may do
// everything that is an action at all, a writer reads and writes, a reader
// reads. An auditor reads what was done and may look at the keys, and has no right on
// data. Any other group gives no right.
type Groups struct{}

// Authorize returns nil where one of the principal's groups allows the action,
// else an error that is ErrDenied.
func (Groups) Authorize(_ context.Context, p Principal, a Action, r Resource) error {
	class := a.Class()
	for _, group := range p.Groups {
		if allows(group, class) || group == GroupAuditor && a == ActionListKeys {
			return nil
		}
	}
	return fmt.Errorf("%w: %s is not allowed to %s on %s", ErrDenied, p.ID, a, r)
}

func allows(group string, class Class) bool {
	switch class {
	case ClassRead:
		return group == GroupAdmin || group == GroupWriter || group == GroupReader
	case ClassWrite:
		return group == GroupAdmin || group == GroupWriter
	case ClassManage:
		return group == GroupAdmin
	case ClassAudit:
		return group == GroupAdmin || group == GroupAuditor
	}
	return false
}
