package cedar

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/authz"
)

func table(warehouse, namespace, name string) authz.Resource {
	return authz.Resource{Kind: authz.KindTable, Warehouse: warehouse, Namespace: strings.Split(namespace, "/"), Name: name}
}

func namespace(warehouse, path string) authz.Resource {
	return authz.Resource{Kind: authz.KindNamespace, Warehouse: warehouse, Namespace: strings.Split(path, "/")}
}

func warehouse(name string) authz.Resource {
	return authz.Resource{Kind: authz.KindWarehouse, Warehouse: name}
}

func policySet(scope string) authz.Resource {
	return authz.Resource{Kind: authz.KindPolicySet, Warehouse: scope}
}

var theCluster = authz.Resource{Kind: authz.KindCluster}

// about is a request of a user, who may be in groups.
func about(user string, action authz.Action, r authz.Resource, groups ...string) authz.Request {
	return authz.Request{
		Principal: authz.Principal{ID: user, Name: user, Groups: groups, Proof: authz.ProofKey}, Action: action, Resource: r,
		Context: authz.Context{Time: time.UnixMilli(1_700_000_000_000), Source: netip.MustParseAddr("192.0.2.7")},
	}
}

// The policies of a cluster that has none of its own say what the groups say.
func TestDefaultPoliciesAreTheGroupsThatExistFromTheStart(t *testing.T) {
	t.Parallel()
	may := map[string][]authz.Class{
		"admin":   {authz.ClassRead, authz.ClassWrite, authz.ClassManage, authz.ClassAudit},
		"writer":  {authz.ClassRead, authz.ClassWrite},
		"reader":  {authz.ClassRead},
		"auditor": {authz.ClassAudit}, "Admin": nil, "": nil,
	}
	s := Sets{Cluster: compile(t, DefaultText, "")}
	places := map[string]authz.Resource{
		"Cluster": theCluster, "Warehouse": warehouse("w"), "Namespace": namespace("w", "a/b"), "Table": table("w", "a", "t"),
		"View": {Kind: authz.KindView, Warehouse: "w", Namespace: []string{"a"}, Name: "v"}, "PolicySet": policySet("w"),
	}
	for group, classes := range may {
		for _, a := range Actions() {
			for _, kind := range words().schema.Actions[actionUID(a)].AppliesTo.Resources {
				r := places[strings.TrimPrefix(string(kind), "Floeberg::")]
				got := s.Decide(about("u", a, r, "strangers", group))
				looks := group == "auditor" && a == authz.ActionListKeys
				if got.Allowed != (slices.Contains(classes, a.Class()) || looks) {
					t.Errorf("%q, %s on %s: %+v", group, a, r, got)
				}
				if got.Allowed && (len(got.Policies) != 1 || got.Policies[0].Policy != group) {
					t.Errorf("%q, %s on %s was decided by %v", group, a, r, got.Policies)
				}
			}
		}
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	const cluster = `
		@id("sales") permit(principal in Floeberg::Group::"sales", action in Floeberg::Action::"Read", resource in Floeberg::Namespace::"prod/sales");
		@id("owner") permit(principal == Floeberg::User::"ann", action, resource in Floeberg::Namespace::"prod/sales/emea");
		@id("one")   permit(principal == Floeberg::User::"bob", action == Floeberg::Action::"LoadTable", resource == Floeberg::Table::"prod/hr/staff");
		@id("own")   permit(principal, action in [Floeberg::Action::"Read", Floeberg::Action::"Write"], resource)
		             when { principal has tenant && resource has top && resource.top == principal.tenant.name };
		@id("office") forbid(principal, action in Floeberg::Action::"Write", resource) unless { context.source_ip.isInRange(ip("192.0.2.0/24")) };
		@id("people") forbid(principal, action == Floeberg::Action::"RenameTable", resource) when { principal.type == "user" };
		@id("secret") forbid(principal, action, resource in Floeberg::Namespace::"prod/sales/secret") unless { principal in Floeberg::Group::"admin" };
	`
	s := Sets{Cluster: compile(t, cluster, "")}
	acme := func(r authz.Request, tenant string) authz.Request { r.Principal.Tenant = tenant; return r }
	from := func(r authz.Request, addr string) authz.Request {
		r.Context.Source = netip.MustParseAddr(addr)
		return r
	}
	service := func(r authz.Request) authz.Request { r.Principal.Type = authz.TypeService; return r }
	nowhere := func(r authz.Request) authz.Request { r.Context.Source = netip.Addr{}; return r }
	for _, tc := range []struct {
		name string
		r    authz.Request
		want string // the policies that decided, "+" first where they allow
	}{
		{"in the namespace", about("u", "LoadTable", table("prod", "sales", "t"), "x", "sales"), "+sales"},
		{"deep below it", about("u", "LoadTable", table("prod", "sales/a/b/c/d", "t"), "sales"), "+sales"},
		{"the namespace itself", about("u", "LoadNamespace", namespace("prod", "sales"), "sales"), "+sales"},
		{"one that begins alike", about("u", "LoadNamespace", namespace("prod", "sales2"), "sales"), ""},
		{"the same levels in one name", about("u", "LoadNamespace", authz.Resource{Kind: authz.KindNamespace, Warehouse: "prod", Namespace: []string{"sales/emea"}}, "sales"), ""},
		{"another warehouse", about("u", "LoadTable", table("test", "sales", "t"), "sales"), ""},
		{"the warehouse above", about("u", "GetConfig", warehouse("prod"), "sales"), ""},
		{"another action", about("u", "DropTable", table("prod", "sales", "t"), "sales"), ""},
		{"no group", about("sales", "LoadTable", table("prod", "sales", "t")), ""},
		{"all actions", about("ann", "DropTable", table("prod", "sales/emea", "t")), "+owner"},
		{"all of a user's policies", about("ann", "LoadTable", table("prod", "sales/emea", "t"), "sales"), "+owner +sales"},
		{"one table", about("bob", "LoadTable", table("prod", "hr", "staff")), "+one"},
		{"its neighbour", about("bob", "LoadTable", table("prod", "hr", "staff2")), ""},
		{"a view of its name", about("bob", "LoadView", authz.Resource{Kind: authz.KindView, Warehouse: "prod", Namespace: []string{"hr"}, Name: "staff"}), ""},
		{"what is the tenant's", acme(about("u", "CreateTable", namespace("prod", "acme/x")), "acme"), "+own"},
		{"what is another's", acme(about("u", "LoadTable", table("prod", "other", "acme")), "acme"), ""},
		{"from outside", from(about("ann", "DropTable", table("prod", "sales/emea", "t")), "198.51.100.1"), "office"},
		{"from an address of the other kind", from(about("ann", "DropTable", table("prod", "sales/emea", "t")), "::ffff:192.0.2.1"), "+owner"},
		{"from nobody knows where", nowhere(about("ann", "DropTable", table("prod", "sales/emea", "t"))), "office"},
		{"a read does not depend on it", nowhere(about("ann", "LoadTable", table("prod", "sales/emea", "t"))), "+owner"},
		{"forbidden", about("u", "LoadTable", table("prod", "sales/secret", "t"), "sales"), "secret"},
		{"a person", about("ann", "RenameTable", table("prod", "sales/emea", "t")), "people"},
		{"a program", service(about("ann", "RenameTable", table("prod", "sales/emea", "t"))), "+owner"},
		{"excepted", about("u", "LoadTable", table("prod", "sales/secret", "t"), "sales", "admin"), "+sales"},
		{"nobody", authz.Request{Action: "LoadTable", Resource: table("prod", "sales", "t")}, ""},
		{"a table without a name", about("ann", "LoadTable", table("prod", "sales/emea", "")), ""},
		{"a namespace without a level", about("ann", "LoadNamespace", authz.Resource{Kind: authz.KindNamespace, Warehouse: "prod"}), ""},
	} {
		got := s.Decide(tc.r)
		var ids []string
		for _, p := range got.Policies {
			if got.Allowed {
				ids = append(ids, "+"+p.Policy)
			} else {
				ids = append(ids, p.Policy)
			}
		}
		slices.Sort(ids)
		if text := strings.Join(ids, " "); text != tc.want || got.Allowed != strings.HasPrefix(tc.want, "+") {
			t.Errorf("%s: %+v, want %q", tc.name, got, tc.want)
		}
	}
}

// A policy that forbids and can't be evaluated forbids, though the library leaves
// it out; one that permits gives nothing.
func TestAPolicyThatFailsGivesNoRight(t *testing.T) {
	t.Parallel()
	const failing = ` when { context.source_ip.isInRange(ip("10.0.0.0/8")) };`
	unknown := about("u", "LoadTable", table("w", "a", "t"))
	unknown.Context.Source = netip.Addr{}
	for _, tc := range []struct {
		text    string
		allowed bool
	}{
		{`@id("f") forbid(principal, action, resource)` + failing + `@id("p") permit(principal, action, resource);`, false},
		{`@id("p") permit(principal, action, resource);`, true},
		{`@id("f") permit(principal, action, resource)` + failing, false},
		{`@id("f") permit(principal, action, resource)` + failing + `@id("p") permit(principal, action, resource);`, true},
		{`@id("f") permit(principal, action, resource) when { 9223372036854775807 + 1 > 0 };`, false},
	} {
		s := Sets{Cluster: compile(t, tc.text, "")}
		got := s.Decide(unknown)
		if got.Allowed != tc.allowed {
			t.Errorf("%s: %+v", tc.text, got)
		}
		if fails := strings.Contains(tc.text, `"f"`); fails != (len(got.Failures) == 1) || fails && got.Failures[0].Policy != "f" {
			t.Errorf("%s: failures %+v", tc.text, got.Failures)
		}
		f := s.Filter(authz.Request{Principal: unknown.Principal, Action: unknown.Action, Resource: namespace("w", "a"), Context: unknown.Context}, authz.KindTable)
		if f.Allows("t") != tc.allowed {
			t.Errorf("%s: the filter says otherwise", tc.text)
		}
	}
}

// A condition that fails comes before one that does not hold, for a filter too.
func TestAFilterLooksAtConditionsInTheirOrder(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		conditions string
		allowed    bool
	}{
		{`when { resource.name } when { false }`, false},
		{`when { false } when { resource.name }`, true},
		{`when { resource.name && false }`, false},
		{`when { false && resource.name }`, true},
		{`when { resource.name == "other" && resource.name }`, true},
		{`when { resource.name == "t" && resource.name }`, false},
		{`unless { true || resource.name }`, true},
	} {
		set, err := Load(`permit(principal, action, resource); forbid(principal, action, resource) `+tc.conditions+`;`, "")
		if err != nil {
			t.Fatal(err)
		}
		f := Sets{Cluster: set}.Filter(about("u", "LoadTable", namespace("w", "a")), authz.KindTable)
		if got := f.Allows("t"); got != tc.allowed {
			t.Errorf("%s: %v", tc.conditions, got)
		}
	}
}

// The policies of a warehouse give rights in it, whatever they say, and take none
// of what is not theirs.
func TestAWarehousesPoliciesReachNoFurther(t *testing.T) {
	t.Parallel()
	all := compile(t, `@id("all") permit(principal, action, resource);`, "prod")
	none := compile(t, `@id("none") forbid(principal, action, resource);`, "prod")
	guarded := compile(t, `
		@id("admin") permit(principal in Floeberg::Group::"admin", action, resource);
		@id("guard") forbid(principal, action, resource in Floeberg::Namespace::"prod/secret");`, "")
	for _, tc := range []struct {
		name              string
		action            authz.Action
		r                 authz.Resource
		permitted, locked bool // with all for nobody's group; with none for an admin
	}{
		{"a table", "DropTable", table("prod", "a", "t"), true, true},
		{"a table's reports", "ListReports", table("prod", "a", "t"), true, true},
		{"a namespace", "DropNamespace", namespace("prod", "a"), true, true},
		{"the warehouse", "GetConfig", warehouse("prod"), true, true},
		{"making a namespace", "CreateNamespace", warehouse("prod"), true, true},
		{"its settings", "ManageWarehouse", warehouse("prod"), false, false},
		{"its policies", "ManagePolicies", policySet("prod"), false, false},
		{"the cluster's policies", "ManagePolicies", policySet(""), false, false},
		{"the cluster", "ManageCluster", theCluster, false, false},
		{"keys", "ManageKeys", theCluster, false, false},
		{"another warehouse", "GetConfig", warehouse("test"), false, false},
		{"a table of another warehouse", "LoadTable", table("test", "a", "t"), false, false},
		{"what the cluster forbids", "LoadTable", table("prod", "secret", "t"), false, true},
	} {
		if got := (Sets{Cluster: guarded, Warehouse: all}).Decide(about("u", tc.action, tc.r)); got.Allowed != tc.permitted {
			t.Errorf("%s with a set that permits all: %+v", tc.name, got)
		}
		if got := (Sets{Cluster: guarded, Warehouse: none}).Decide(about("u", tc.action, tc.r, "admin")); got.Allowed == tc.locked {
			t.Errorf("%s with a set that forbids all: %+v", tc.name, got)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	s := Sets{
		Cluster: compile(t, `
			@id("read") permit(principal in Floeberg::Group::"g", action in Floeberg::Action::"Read", resource);
			@id("small") permit(principal, action, resource) when { context.access == "write" };
			@id("views") forbid(principal, action, resource is Floeberg::View);
			@id("bad") permit(principal, action, resource) when { context.source_ip.isLoopback() };
			@id("others") permit(principal in Floeberg::Group::"h", action, resource);
			@id("drop") permit(principal, action == Floeberg::Action::"DropTable", resource);`, ""),
		Warehouse: compile(t, `@id("no") forbid(principal == Floeberg::User::"u", action, resource);`, "w"),
	}
	r := about("u", "LoadTable", table("w", "a", "t"), "g")
	r.Context.Source = netip.Addr{}
	got := s.Explain(r)
	if got.Allowed || len(got.Policies) != 1 || got.Policies[0].String() != "warehouse/w/no" || got.Total != 7 {
		t.Errorf("%+v", got)
	}
	want := map[string]Outcome{
		"cluster/read": OutcomeApplies, "cluster/small": OutcomeConditions, "cluster/views": OutcomeHead,
		"cluster/bad": OutcomeFailed, "warehouse/w/no": OutcomeApplies,
	}
	for _, c := range got.Considered {
		if want[c.String()] != c.Outcome || (c.Outcome == OutcomeFailed) != (c.Message != "") {
			t.Errorf("%+v", c)
		}
		delete(want, c.String())
	}
	if len(want) > 0 {
		t.Errorf("not considered: %v", want)
	}
}
