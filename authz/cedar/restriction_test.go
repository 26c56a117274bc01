package cedar

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/authz"
)

const (
	euRows  = `@row_filter("{\"type\":\"eq\",\"term\":\"region\",\"value\":\"EU\"}")`
	maskSSN = `@column_mask("{\"ssn\":\"replace-with-null\"}")`
)

func TestAnnotationsThatRestrictAreChecked(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`permit (principal, action == Floeberg::Action::"LoadTable", resource);`,
		`permit (principal, action in Floeberg::Action::"Read", resource in Floeberg::Namespace::"prod/a");`,
		`permit (principal, action, resource);`,
		`permit (principal, action in [Floeberg::Action::"Write", Floeberg::Action::"LoadTable"], resource == Floeberg::Table::"prod/a/t") when { principal has tenant };`,
	} {
		s := compile(t, `@id("x") `+euRows+maskSSN+text, "")
		if refs := s.Restricting(); len(refs) != 1 || refs[0].Policy != "x" {
			t.Errorf("%s: %v", text, refs)
		}
	}
	if refs := compile(t, DefaultText, "").Restricting(); refs != nil {
		t.Errorf("the ready-made policies restrict: %v", refs)
	}
	const loads = `permit (principal, action == Floeberg::Action::"LoadTable", resource);`
	for _, tc := range []struct{ text, want string }{
		{euRows + `forbid (principal, action, resource);`, "are for policies that permit"},
		{maskSSN + `permit (principal, action == Floeberg::Action::"LoadView", resource);`, "can't permit LoadTable"},
		{maskSSN + `permit (principal, action in Floeberg::Action::"Write", resource);`, "can't permit LoadTable"},
		{maskSSN + `permit (principal, action in Floeberg::Action::"Read", resource == Floeberg::View::"prod/a/v");`, "can't permit LoadTable"},
		{maskSSN + `permit (principal, action in Floeberg::Action::"Read", resource is Floeberg::Warehouse);`, "can't permit LoadTable"},
		{"\n\n@id(\"x\")\n@row_filter(\"{\\\"type\\\":\\\"eqq\\\"}\")\n" + loads, `policy "x", line 3: its @row_filter can't be used: Invalid expression: there is no operation "eqq"`},
		{`@row_filter ` + loads, "its @row_filter can't be used"},
		{`@row_filter("true")` + loads, "leaves no row out"},
		{`@column_mask("ssn,email")` + loads, "its @column_mask can't be used: write an object"},
		{`@column_mask("{\"ssn\":\"mask-hash\"}")` + loads, `no action "mask-hash"; there are mask-alphanum`},
		{`@column_mask("{}")` + loads, "names no column"},
		{euRows + euRows + loads, "duplicate annotation"},
	} {
		if _, err := Compile(tc.text, ""); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.text, err, tc.want)
		}
	}
}

// restricting are the policies that restrict a look at a table, in their order.
func restricting(d Decision) []string {
	var out []string
	for _, r := range d.Restrictions {
		out = append(out, r.Ref.String())
	}
	return out
}

func loadOf(groups ...string) authz.Request {
	return authz.Request{
		Principal: authz.Principal{ID: "u", Groups: groups}, Action: authz.ActionLoadTable,
		Resource: authz.Resource{Kind: authz.KindTable, Warehouse: "w", Namespace: []string{"a"}, Name: "t"},
	}
}

func TestNoPermitTakesARestrictionAway(t *testing.T) {
	t.Parallel()
	const (
		rows    = `@id("rows") ` + euRows + `permit (principal in Floeberg::Group::"g", action in Floeberg::Action::"Read", resource);`
		columns = `@id("columns") ` + maskSSN + `permit (principal in Floeberg::Group::"h", action in Floeberg::Action::"Read", resource);`
		plain   = `@id("plain") permit (principal, action, resource);`
		doubt   = `@id("doubt") ` + maskSSN + `permit (principal, action in Floeberg::Action::"Read", resource) when { context.source_ip.isLoopback() };`
		except  = `@id("except") ` + maskSSN + `permit (principal, action in Floeberg::Action::"Read", resource) unless { principal in Floeberg::Group::"hr" };`
		closed  = `@id("closed") forbid (principal, action, resource) when { principal in Floeberg::Group::"x" };`
	)
	for _, tc := range []struct {
		name, cluster, warehouse string
		groups                   []string
		want                     string
		denied                   bool
	}{
		{"alone", rows, "", []string{"g"}, "cluster/rows", false},
		{"each its kind", rows + "\n" + columns, "", []string{"g", "h"}, "cluster/rows cluster/columns", false},
		{"with one that restricts nothing", plain + rows, "", []string{"g"}, "cluster/rows", false},
		{"it restricts others", plain + rows, "", []string{"h"}, "", false},
		{"in the set of the warehouse", plain, rows, []string{"g"}, "warehouse/w/rows", false},
		{"in both sets", columns, rows + plain, []string{"g", "h"}, "cluster/columns warehouse/w/rows", false},
		{"one that fails might have applied", plain + doubt, "", nil, "cluster/doubt", false},
		{"one that fails and would be the only one", doubt, "", nil, "", true},
		{"an exception", plain + except, "", []string{"hr"}, "", false},
		{"no exception", plain + except, "", []string{"g"}, "cluster/except", false},
		{"what is forbidden is not restricted", plain + rows + closed, "", []string{"g", "x"}, "", true},
	} {
		sets := Sets{Cluster: compile(t, tc.cluster, ""), Warehouse: compile(t, tc.warehouse, "w")}
		d := sets.Decide(loadOf(tc.groups...))
		if got := strings.Join(restricting(d), " "); got != tc.want || d.Allowed == tc.denied {
			t.Errorf("%s: allowed %v, %q", tc.name, d.Allowed, got)
		}
		if got := strings.Join(restricting(sets.Explain(loadOf(tc.groups...)).Decision), " "); got != tc.want {
			t.Errorf("%s is explained by %q", tc.name, got)
		}
		other := loadOf(tc.groups...)
		other.Action = authz.ActionReportMetrics
		if d := sets.Decide(other); d.Restrictions != nil {
			t.Errorf("%s: another action has %v", tc.name, d.Restrictions)
		}
	}
}

// What a newer program understands and this one does not is not skipped.
func TestAnUnreadableRestrictionIsKept(t *testing.T) {
	t.Parallel()
	s, err := Load(`@column_mask("{\"ssn\":\"of-a-newer-program\"}") permit (principal, action, resource);`, "")
	if err != nil {
		t.Fatal(err)
	}
	d := Sets{Cluster: s}.Decide(loadOf())
	if !d.Allowed || len(d.Restrictions) != 1 || d.Restrictions[0].Unreadable == "" {
		t.Errorf("got %+v", d)
	}
}

// Whatever is permitted beside it, a restriction stays.
func TestMorePoliciesRestrictNoLess(t *testing.T) {
	t.Parallel()
	annotated := func(t *rapid.T) string {
		return rapid.SampledFrom([]string{"", euRows, maskSSN, euRows + maskSSN}).Draw(t, "annotations")
	}
	drawn := func(t *rapid.T, scope string, most int) string {
		var b strings.Builder
		for i := range rapid.IntRange(0, most).Draw(t, "policies of "+scope) {
			fmt.Fprintf(&b, "@id(\"%d\") %s%s\n", i, annotated(t), drawnPolicy(t))
		}
		return b.String()
	}
	read := func(t *rapid.T, text, scope string) *Set {
		s, err := Load(text, scope)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	rapid.Check(t, func(t *rapid.T) {
		cluster, house := drawn(t, "", 6), drawn(t, "w", 4)
		r := drawnRequest(t)
		r.Action = authz.ActionLoadTable
		r.Resource.Kind, r.Resource.Warehouse = authz.KindTable, "w"
		if len(r.Resource.Namespace) == 0 {
			r.Resource.Namespace, r.Resource.Name = []string{"a"}, "b"
		}
		if r.Resource.Name == "" {
			r.Resource.Name = "a"
		}
		before := Sets{Cluster: read(t, cluster, ""), Warehouse: read(t, house, "w")}.Decide(r)
		if !before.Allowed {
			return
		}
		one := `@id("more") ` + annotated(t) + strings.Replace(drawnPolicy(t), "forbid", "permit", 1)
		if rapid.Bool().Draw(t, "into the cluster's") {
			cluster += one
		} else {
			house += one
		}
		after := Sets{Cluster: read(t, cluster, ""), Warehouse: read(t, house, "w")}.Decide(r)
		if !after.Allowed {
			t.Fatal("a permit denies")
		}
		for _, was := range restricting(before) {
			if !slices.Contains(restricting(after), was) {
				t.Fatalf("%s does not restrict any more: %v", was, restricting(after))
			}
		}
	})
}
