package rest_test

import (
	"context"

	"github.com/floeberg/floeberg/authz"
)

// allBut allows everything but one thing.
type allBut struct {
	action   authz.Action
	resource string
}

func (a allBut) Authorize(_ context.Context, _ authz.Principal, action authz.Action, r authz.Resource) error {
	if action == a.action && r.String() == a.resource {
		return authz.ErrDenied
	}
	return nil
}
