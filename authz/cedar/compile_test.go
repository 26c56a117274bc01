package cedar

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func compile(t testing.TB, text, scope string) *Set {
	t.Helper()
	s, err := Compile(text, scope)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// What is wrong with a policy is told when it is put: which, where, and how to
// mend it.
func TestWhatIsMisspeltIsRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, scope, want string }{
		{"action", "\n\n@id(\"x\")\npermit(principal, action == Floeberg::Action::\"LoadTabel\", resource);", "", `policy "x", line 3: there is no action "LoadTabel"; do you mean LoadTable?`},
		{"action in a list", `permit(principal, action in [Floeberg::Action::"Read", Floeberg::Action::"Wirte"], resource);`, "", `do you mean Write?`},
		{"action in a condition", `permit(principal, action, resource) when { action == Floeberg::Action::"DropTabel" };`, "", `do you mean DropTable?`},
		{"action without its prefix", `permit(principal, action == Action::"LoadTable", resource);`, "", `write Floeberg::Action::"LoadTable"`},
		{"type", `permit(principal, action, resource in Floeberg::Namespce::"prod/a");`, "", `policy "policy-1", line 1: there is no type Floeberg::Namespce; do you mean Floeberg::Namespace?`},
		{"type without its prefix", `permit(principal in Group::"a", action, resource);`, "", `do you mean Floeberg::Group?`},
		{"type in is", `permit(principal, action, resource is Floeberg::Tabel);`, "", `do you mean Floeberg::Table?`},
		{"type in a condition", `permit(principal, action, resource) when { resource is Tables };`, "", `do you mean Floeberg::Table?`},
		{"unlike all types", `permit(principal is Qqqqqqqqqqqqqq, action, resource);`, "", `there are Floeberg::Cluster, Floeberg::Group`},
		{"attribute", `permit(principal, action == Floeberg::Action::"LoadTable", resource) when { resource.nmae == "x" };`, "", "attribute `nmae` on entity type `Floeberg::Table` not found"},
		{"attribute of the context", `permit(principal, action == Floeberg::Action::"LoadTable", resource) when { context.sourceip.isLoopback() };`, "", "attribute `sourceip` in context"},
		{"attribute that may be missing", `permit(principal, action == Floeberg::Action::"LoadTable", resource) when { principal.tenant.name == "x" };`, "", `with "has"`},
		{"types that don't fit", `permit(principal, action == Floeberg::Action::"LoadTable", resource) when { resource.name == 1 };`, "", "policy-1"},
		{"never applies", `permit(principal, action == Floeberg::Action::"LoadTable", resource is Floeberg::Namespace);`, "", "it can never apply"},
		{"a principal that nobody is", `permit(principal == Floeberg::Group::"x", action, resource);`, "", "it can never apply"},
		{"no id of a namespace", `permit(principal, action, resource in Floeberg::Namespace::"prod");`, "", `write Floeberg::Namespace::"WAREHOUSE/LEVEL"`},
		{"no id of a table", `permit(principal, action, resource == Floeberg::Table::"prod/t");`, "", `write Floeberg::Table::"WAREHOUSE/LEVEL/NAME"`},
		{"an id with dots is one level", `permit(principal, action, resource == Floeberg::Warehouse::"prod/a");`, "", `write Floeberg::Warehouse::"WAREHOUSE"`},
		{"an empty level", `permit(principal, action, resource in Floeberg::Namespace::"prod//a");`, "", `has an empty name`},
		{"a slash at the end", `permit(principal, action, resource in Floeberg::Namespace::"prod/a/");`, "", `has an empty name`},
		{"an escape in lower case", `permit(principal, action, resource in Floeberg::Namespace::"prod/a%2fb");`, "", `write the name "a/b" as "a%2Fb"`},
		{"an escape that need not be", `permit(principal, action, resource in Floeberg::Namespace::"prod/%61");`, "", `write the name "a" as "a"`},
		{"a percent sign", `permit(principal, action, resource in Floeberg::Namespace::"prod/50%");`, "", `write the name "50%" as "50%25"`},
		{"no cluster of that name", `permit(principal, action, resource == Floeberg::Cluster::"mine");`, "", `the only one is Floeberg::Cluster::"cluster"`},
		{"no policy set of that name", `permit(principal, action, resource == Floeberg::PolicySet::"prod");`, "", `"warehouse/"`},
		{"an annotation that does nothing", "@row_filtr(\"x > 1\")\npermit(principal, action, resource);", "", `there is no annotation @row_filtr`},
		{"two of one name", "@id(\"a\") permit(principal, action, resource);\n@id(\"a\") forbid(principal, action, resource);", "", `policy "a", line 2: there is another policy of that name`},
		{"no name", `@id("") permit(principal, action, resource);`, "", "its @id is no name"},
		{"a name that hides", "@id(\"a\\u{202e}\") permit(principal, action, resource);", "", "its @id is no name"},
		{"no policy at all", "permit(principal, action, resource)\nwhen { true }", "", "line 2: it can't be read: column"},
		{"an effect that is none", "\nallow(principal, action, resource);", "", "line 2: it can't be read: column 6"},
		{"a text that does not end", `permit(principal == Floeberg::User::"x`, "", "literal not terminated"},
		{"a comment that does not end", `/* permit(principal, action, resource);`, "", "comment not terminated"},
		{"not UTF-8", "permit(principal == Floeberg::User::\"\xff\", action, resource);", "", "not valid UTF-8"},
		{"nested", "permit(principal, action, resource) when { " + strings.Repeat("(", 100) + "true" + strings.Repeat(")", 100) + " };", "", "nested more than 64 deep"},
		{"nested behind comments", "permit(principal, action, resource) when { " + strings.Repeat("( /* ) ; */ ", 100) + "true" + strings.Repeat(")", 100) + " };", "", "nested more than 64 deep"},
		{"nested behind strings", "permit(principal, action, resource) when { " + strings.Repeat(`( "\")" == ")" || `, 100) + "true" + strings.Repeat(")", 100) + " };", "", "nested more than 64 deep"},
		{"long", "permit(principal, action, resource) when { true" + strings.Repeat(" && true", 10000) + " };", "", "make several of it"},
		{"too long", strings.Repeat(" ", MaxTextBytes+1), "", "at most 4194304 are possible"},

		{"another warehouse", `permit(principal, action, resource in Floeberg::Namespace::"test/a");`, "prod", `is not in warehouse "prod"`},
		{"another warehouse in a condition", `permit(principal, action, resource) when { resource in Floeberg::Warehouse::"test" };`, "prod", `is not in warehouse "prod"`},
		{"a warehouse whose name begins alike", `permit(principal, action, resource in Floeberg::Warehouse::"prod2");`, "prod", `is not in warehouse "prod"`},
		{"another warehouse's policies", `permit(principal, action, resource == Floeberg::PolicySet::"warehouse/test");`, "prod", `is not in warehouse "prod"`},
		{"its own policies", `permit(principal, action, resource == Floeberg::PolicySet::"warehouse/prod");`, "prod", `put this one into the cluster's`},
		{"all policies", `permit(principal, action, resource is Floeberg::PolicySet);`, "prod", `put this one into the cluster's`},
		{"the cluster", `permit(principal, action, resource in Floeberg::Cluster::"cluster");`, "prod", `put this one into the cluster's`},
		{"keys", `permit(principal, action == Floeberg::Action::"ManageKeys", resource);`, "prod", `put this one into the cluster's`},
		{"the warehouse's own settings", `permit(principal, action == Floeberg::Action::"ManageWarehouse", resource);`, "prod", `put this one into the cluster's`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := Compile(tc.text, tc.scope)
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("%v is not ErrInvalid", err)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%q, want %q", err, tc.want)
			}
			if all, ok := IsInvalid(err); !ok || len(all) == 0 {
				t.Errorf("%v has no list of errors", err)
			}
		})
	}
}

func TestWhatIsRightIsTaken(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ text, scope string }{
		{"", ""},
		{"// nothing\n/* yet ( */", "prod"},
		{DefaultText, ""},
		{`permit(principal, action, resource);`, "prod"},
		{`permit(principal, action in Floeberg::Action::"Manage", resource in Floeberg::Warehouse::"prod");`, "prod"},
		{`permit(principal in Floeberg::Tenant::"any \u{0}name/", action, resource in Floeberg::Namespace::"a b/c%2Fd");`, "a b"},
		{`@id("night") @description("no writes at night") forbid(principal, action in Floeberg::Action::"Write", resource) unless { context.time.toTime() >= duration("6h") && context.source_ip.isInRange(ip("10.0.0.0/8")) };`, ""},
		{`permit(principal, action in [Floeberg::Action::"LoadTable", Floeberg::Action::"ListTables"], resource) when { principal has tenant && resource.top == principal.tenant.name };`, ""},
		{`forbid(principal, action in Floeberg::Action::"Write", resource) unless { principal.type == "service" };`, ""},
		{`forbid(principal, action, resource) when { context.authentication == "none" || context.access == "write" };`, ""},
		{`permit(principal, action == Floeberg::Action::"LoadTable", resource) when { context.referenced_by.contains(Floeberg::View::"prod/a/v") && resource.namespace == Floeberg::Namespace::"prod/a" && resource.warehouse.name == "prod" };`, ""},
		{`permit(principal, action, resource == Floeberg::PolicySet::"warehouse/prod");`, ""},
	} {
		if s, err := Compile(tc.text, tc.scope); err != nil {
			t.Errorf("%s: %v", tc.text, err)
		} else if s.Scope() != tc.scope {
			t.Errorf("a set for %q", s.Scope())
		}
	}
}

func TestManyErrorsAreToldInBrief(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 20 {
		fmt.Fprintf(&text, "@id(\"p%d\") permit(principal, action == Floeberg::Action::\"No%d\", resource);\n", i, i)
	}
	_, err := Compile(text.String(), "")
	all, _ := IsInvalid(err)
	if len(all) != 20 || !strings.HasSuffix(err.Error(), "; and 15 more") {
		t.Errorf("%d: %v", len(all), err)
	}
	if all[19].Policy != "p19" || all[19].Line != 20 {
		t.Errorf("the last is %+v", all[19])
	}
}

// A set that another program took is loaded, though this one does not know all of
// its words: what it knows still holds.
func TestLoadTakesWordsThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	s, err := Load(`
		permit(principal, action == Floeberg::Action::"FlyTable", resource is Floeberg::Plane);
		permit(principal, action, resource) unless { context.weather == "bad" };
		@colour("red") permit(principal == Floeberg::User::"u", action, resource);`, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := (Sets{Cluster: s}).Decide(about("u", "LoadTable", table("prod", "a", "t"))); !got.Allowed || len(got.Failures) != 1 {
		t.Errorf("%+v", got)
	}
	if got := (Sets{Cluster: s}).Decide(about("v", "LoadTable", table("prod", "a", "t"))); got.Allowed {
		t.Errorf("%+v", got)
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(DefaultText, "")
	f.Add(`@id("x") forbid(principal is Floeberg::User in Floeberg::Group::"g", action in [Floeberg::Action::"Read"], resource == Floeberg::Table::"w/a/t") when { context has source_ip && ip("::1").isInRange(context.source_ip) } unless { if principal has tenant then resource.name like "a\*b*" else [1, -2].containsAny([{"a": decimal("1.0")}.a]) };`, "w")
	f.Fuzz(func(t *testing.T, text, scope string) {
		s, err := Compile(text, scope)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		sets := Sets{Cluster: s}
		if scope != "" {
			sets = Sets{Warehouse: s}
		}
		sets.Explain(about("u", "LoadTable", table(scope, "a", "t")))
		sets.Filter(about("u", "LoadTable", namespace("w", "a")), "Table").Ranges()
	})
}
