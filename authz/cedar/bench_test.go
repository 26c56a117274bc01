package cedar

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/authz"
)

// depth is how deep the namespaces of the benchmarks are.
const depth = 12

func deepNamespace(i int) string {
	levels := []string{fmt.Sprintf("team%d", i)}
	for d := 1; d < depth; d++ {
		levels = append(levels, fmt.Sprintf("level%d", d))
	}
	return strings.Join(levels, "/")
}

// manyPolicies are n policies of the usual kinds: of each team of five policies
// four name its group and its namespace, one of them with a condition; the fifth is
// about a table. A twentieth of all name no principal.
func manyPolicies(n int) string {
	var b strings.Builder
	for i := range n {
		team := i / 5
		switch i % 5 {
		case 0:
			fmt.Fprintf(&b, "permit(principal in Floeberg::Group::\"team%d\", action in Floeberg::Action::\"Read\", resource in Floeberg::Namespace::\"prod/team%d\");\n", team, team)
		case 1:
			fmt.Fprintf(&b, "permit(principal in Floeberg::Group::\"team%d\", action in Floeberg::Action::\"Write\", resource in Floeberg::Namespace::\"prod/%s\") when { context.source_ip.isInRange(ip(\"192.0.2.0/24\")) };\n", team, deepNamespace(team))
		case 2:
			fmt.Fprintf(&b, "permit(principal == Floeberg::User::\"key-%d\", action, resource in Floeberg::Namespace::\"prod/team%d\");\n", team, team)
		case 3:
			if team%4 == 0 {
				fmt.Fprintf(&b, "forbid(principal, action in Floeberg::Action::\"Write\", resource in Floeberg::Namespace::\"prod/team%d/frozen\") unless { principal in Floeberg::Group::\"admin\" };\n", team)
				continue
			}
			fmt.Fprintf(&b, "forbid(principal in Floeberg::Group::\"team%d\", action == Floeberg::Action::\"DropTable\", resource in Floeberg::Namespace::\"prod/team%d\") when { resource.name like \"gold_*\" };\n", team, team)
		case 4:
			fmt.Fprintf(&b, "permit(principal in Floeberg::Group::\"guests\", action == Floeberg::Action::\"LoadTable\", resource == Floeberg::Table::\"prod/%s/shared\");\n", deepNamespace(team))
		}
	}
	return b.String()
}

// BenchmarkDecide is one decision about a table in a deep namespace, of a user in
// eight groups, together with the policies of the warehouse.
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			s := Sets{
				Cluster:   compile(b, manyPolicies(n), ""),
				Warehouse: compile(b, `forbid(principal, action in Floeberg::Action::"Write", resource) when { context.authentication == "none" };`, "prod"),
			}
			team := (n/5 - 1) / 4 * 4
			groups := []string{fmt.Sprintf("team%d", team), "guests", "g1", "g2", "g3", "g4", "g5", "g6"}
			requests := []authz.Request{
				about(fmt.Sprintf("key-%d", team), "LoadTable", table("prod", deepNamespace(team), "orders"), groups...),
				about(fmt.Sprintf("key-%d", team), "CommitTable", table("prod", deepNamespace(team), "orders"), groups...),
				about("nobody", "LoadTable", table("prod", deepNamespace(team), "orders"), groups[2:]...),
			}
			if !s.Decide(requests[0]).Allowed || !s.Decide(requests[1]).Allowed || s.Decide(requests[2]).Allowed {
				b.Fatal("the policies decide otherwise")
			}
			took := make([]time.Duration, 0, b.N)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				s.Decide(requests[i%len(requests)])
				took = append(took, time.Since(start))
			}
			report(b, took)
		})
	}
}

// report tells medians as well as means: of a decision that is made for each
// request the slow ones matter.
func report(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50-ns", 0.50}, {"p99-ns", 0.99}} {
		b.ReportMetric(float64(took[min(len(took)-1, int(q.at*float64(len(took))))]), q.name)
	}
}

// BenchmarkFilter is one listing of 10,000 tables for a caller who may see ten of
// them, each of which is asked about: by name, by a condition on the name, or by one
// that only the library understands.
func BenchmarkFilter(b *testing.B) {
	var named strings.Builder
	for i := range 10 {
		fmt.Fprintf(&named, "permit(principal in Floeberg::Group::\"g\", action == Floeberg::Action::\"LoadTable\", resource == Floeberg::Table::\"prod/sales/table%05d\");\n", i*997)
	}
	const inSales = `permit(principal in Floeberg::Group::"g", action == Floeberg::Action::"LoadTable", resource in Floeberg::Namespace::"prod/sales") when `
	for _, bc := range []struct{ name, text string }{
		{"named", named.String()},
		{"condition", inSales + `{ context.authentication == "key" && resource.name like "table0000*" };`},
		{"library", inSales + `{ {"name": resource.name}.name like "table0000*" };`},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s := Sets{Cluster: compile(b, bc.text, "")}
			names := make([]string, 10_000)
			for i := range names {
				names[i] = fmt.Sprintf("table%05d", i)
			}
			r := about("u", "LoadTable", namespace("prod", "sales"), "g")
			for b.Loop() {
				f, seen := s.Filter(r, authz.KindTable), 0
				for _, name := range names {
					if f.Allows(name) {
						seen++
					}
				}
				if seen != 10 {
					b.Fatalf("%d are seen", seen)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000} {
		text := manyPolicies(n)
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			for b.Loop() {
				compile(b, text, "")
			}
		})
		b.Run(fmt.Sprintf("load/policies=%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := Load(text, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
