package management_test

import (
	"strings"
	"testing"

	"github.com/floeberg/floeberg/api/apitest"
)

// Who may do what, for each route: the groups in the order of their rights.
func TestRights(t *testing.T) {
	t.Parallel()
	s, h := newNode(t)
	s.GiveKey("outsider", "nobodies")
	makeTable(t, h, "t")
	reader, admin, auditor := []string{"reader", "writer", "admin"}, []string{"admin"}, []string{"auditor", "admin"}
	for _, tc := range []struct {
		apitest.Ask
		may []string
	}{
		{apitest.Ask{Method: "GET", Path: warehouses}, reader},
		{apitest.Ask{Method: "GET", Path: warehouses + "/default"}, reader},
		{apitest.Ask{Method: "GET", Path: tables + "/t/verify"}, reader},
		{apitest.Ask{Method: "POST", Path: tables + "/t/rebuild"}, admin},
		{apitest.Ask{Method: "GET", Path: tables + "/t/reports"}, admin},
		{apitest.Ask{Method: "GET", Path: keys}, auditor},
		{apitest.Ask{Method: "POST", Path: keys, Body: `{"name":"k","groups":["reader"]}`}, admin},
		{apitest.Ask{Method: "POST", Path: keys + "/id-outsider/rotate", Body: `{"overlap_seconds":60}`}, admin},
		{apitest.Ask{Method: "POST", Path: keys + "/id-outsider/revoke"}, admin},
	} {
		may := map[string]bool{}
		for _, name := range tc.may {
			may[name] = true
		}
		a := tc.Ask
		for _, a.As = range []string{"outsider", "auditor", "reader", "writer", "admin"} {
			if !may[a.As] {
				// What may not be seen is not there; the cluster is.
				if strings.HasPrefix(a.Path, warehouses+"/") && a.As != "reader" && a.As != "writer" {
					a.WantError(t, h, 404, "NoSuchWarehouseException")
				} else {
					a.WantError(t, h, 403, "ForbiddenException")
				}
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
	// Who may not read can't tell what is there from what is not.
	for path, nothing := range map[string]string{
		warehouses + "/default": warehouses + "/nowhere",
		tables + "/t/verify":    tables + "/nothing/verify",
	} {
		there := apitest.Ask{Method: "GET", Path: path, As: "auditor"}.Want(t, h, 404)
		not := apitest.Ask{Method: "GET", Path: nothing, As: "auditor"}.Want(t, h, 404)
		if there.Body.String() != strings.ReplaceAll(not.Body.String(), "nowhere", "default") {
			t.Errorf("%s: %s, %s: %s", path, there.Body, nothing, not.Body)
		}
	}
}
