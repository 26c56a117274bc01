package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/api/apitest"
)

// lent gives one tenant rights on all that another has, but for what is in its tables.
const lent = tenantPolicies + `
	@id("lent") @row_filter("false")
	permit (principal in Floeberg::Tenant::"beta", action, resource in Floeberg::Warehouse::"default");`

// Whichever route it is, who may not read all of a table is shown nothing of it unless
// it keeps to that, and then with what it must keep to.
func TestNoRouteShowsARestrictedTableAsItIs(t *testing.T) {
	t.Parallel()
	const marker = "only-in-the-metadata"
	shown := 0
	for _, r := range newTenants(t).routes {
		name := r.Method + " " + r.Path
		if !strings.Contains(r.Path, "/tables") && !strings.Contains(r.Path, "/register") && !strings.Contains(r.Path, "/transactions") {
			continue
		}
		sent := bodies[name]
		if !r.Body {
			sent = []string{""}
		} else if sent == nil {
			sent = []string{"{}"}
		}
		for _, body := range sent {
			for _, announced := range []bool{false, true} {
				s := newTenants(t) // many of them take away what they are asked about
				s.ask("acme", "POST", "/v1/default/namespaces/acme/tables/t", `{"requirements":[],"updates":[{"action":"set-properties","updates":{"`+marker+`":"1"}}]}`).Want(t, s, 200)
				s.PutPolicies("", lent)
				fill := s.fill(place{"default", "acme"}, "beta")
				a := apitest.Ask{Method: r.Method, Path: fill.Replace(r.Path), As: "beta", Body: fill.Replace(body), Header: http.Header{}}
				if announced {
					a.Header.Set("X-Iceberg-Client-Capabilities", "read-restrictions")
				}
				answer := a.Of(s).Body.String()
				switch {
				case !strings.Contains(answer, marker):
				case !announced:
					t.Errorf("%s %s shows %s", name, a.Body, answer)
				case !strings.Contains(answer, `"read-restrictions":{"required-row-filter":false}`):
					t.Errorf("%s %s shows without restrictions %s", name, a.Body, answer)
				default:
					shown++
				}
			}
		}
	}
	if shown < 3 {
		t.Errorf("%d answers show a table: load, commit and unregister do", shown)
	}
}
