package management_test

import (
	"testing"

	"github.com/floeberg/floeberg/api/apitest"
)

// Who may do what, for each route: the groups in the order of their rights.
func TestRights(t *testing.T) {
	t.Parallel()
	s, h := newNode(t)
	s.GiveKey("outsider", "nobodies")
	reader := []string{"reader", "writer", "admin"}
	for _, tc := range []struct {
		ask
		may []string
	}{
		{ask{Method: "GET", Path: warehouses}, reader},
		{ask{Method: "GET", Path: warehouses + "/default"}, reader},
	} {
		may := map[string]bool{}
		for _, name := range tc.may {
			may[name] = true
		}
		a := tc.ask
		for _, a.As = range []string{"outsider", "auditor", "reader", "writer", "admin"} {
			if !may[a.As] {
				a.WantError(t, h, 403, "ForbiddenException")
				continue
			}
			if w := a.Of(h); w.Code >= 300 {
				t.Errorf("%s %s as %s: %d %s", a.Method, a.Path, a.As, w.Code, w.Body)
			}
		}
		for _, a.As = range []string{apitest.NoKey, "nobody"} {
			a.WantError(t, h, 401, "NotAuthorizedException")
		}
	}
	there := ask{Method: "GET", Path: warehouses + "/default", As: "auditor"}.Want(t, h, 403)
	not := ask{Method: "GET", Path: warehouses + "/nowhere", As: "auditor"}.Want(t, h, 403)
	if there.Body.String() != not.Body.String() {
		t.Errorf("who may not read can tell what is there: %s, %s", there.Body, not.Body)
	}
}
