package rest_test

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// probe is what one who asks could try, about what is there and may not be seen and,
// in the same number of bytes, about what is not there.
type probe struct {
	name           string
	hidden, absent ask
}

// probes are of a table or view in a namespace that is seen, of one in a namespace that
// is hidden, and of namespaces. Which policies are asked goes by the place that is named,
// so what is compared is in places of which the policies say the same.
func probes() (all []probe) {
	add := func(name, method, body, hidden, absent string) {
		at := func(path string) ask {
			return ask{method: method, path: "/v1/default/namespaces/" + path, body: body, as: "writer"}
		}
		all = append(all, probe{name, at(hidden), at(absent)})
	}
	for _, of := range []struct{ name, method, body, path string }{
		{"table-GET", "GET", "", "tables/hidden"}, {"table-HEAD", "HEAD", "", "tables/hidden"},
		{"table-commit", "POST", `{"requirements":[],"updates":[]}`, "tables/hidden"}, {"table-drop", "DELETE", "", "tables/hidden"},
		{"view-GET", "GET", "", "views/unseen"}, {"view-HEAD", "HEAD", "", "views/unseen"},
	} {
		kind, _, _ := strings.Cut(of.path, "/")
		add(of.name+"/seen-namespace", of.method, of.body, "a/"+of.path, "a/"+kind+"/absent")
		add(of.name+"/hidden-namespace", of.method, of.body, "b/"+of.path, "b/"+kind+"/absent")
		add(of.name+"/absent-namespace", of.method, of.body, "b/"+of.path, "c/"+of.path)
	}
	for _, method := range []string{"GET", "HEAD", "DELETE"} {
		add("namespace-"+method, method, "", "b", "c")
	}
	add("tables-of", "GET", "", "b/tables", "c/tables")
	add("views-of", "GET", "", "b/views", "c/views")
	add("table-create-in", "POST", createTableBody("new"), "b/tables", "c/tables")
	for _, of := range []struct{ name, path, hidden, absent string }{
		{"table-create", tables, createTableBody("hidden"), createTableBody("absent")},
		{"namespace-create", "/v1/default/namespaces", `{"namespace":["b"]}`, `{"namespace":["c"]}`},
		{"table-rename", renameTable, renameBody("hidden", "new"), renameBody("absent", "new")},
		{"table-rename-to", renameTable, renameBody("seen", "hidden"), renameBody("seen", "absent")},
		{"view-rename", renameView, renameBody("unseen", "new"), renameBody("absent", "new")},
	} {
		one := ask{method: "POST", path: of.path, body: of.hidden, as: "writer"}
		other := one
		other.body = of.absent
		all = append(all, probe{of.name, one, other})
	}
	return all
}

// BenchmarkHiddenOrAbsent measures whether an answer takes longer about what is there
// and may not be seen than about what is not there. The requests take turns, so that
// whatever else the machine does meets all of them. It reports the medians, an interval
// in which the difference of the medians is with 95 percent, and how often the one takes
// longer than the other, of which 50 percent tells nothing.
func BenchmarkHiddenOrAbsent(b *testing.B) {
	s := newSite(b)
	h, _, _ := audited(b, s)
	for _, namespace := range []string{"a", "b"} {
		createNamespace(b, h, namespace)
		path := "/v1/default/namespaces/" + namespace
		for _, name := range []string{"hidden", "seen"} {
			ask{method: "POST", path: path + "/tables", body: createTableBody(name)}.want(b, h, 200)
		}
		ask{method: "POST", path: path + "/views", body: createViewBody("unseen", "select 1")}.want(b, h, 200)
	}
	for _, policies := range []struct{ name, text string }{
		{"named", `permit (principal in Floeberg::Group::"writer", action, resource == Floeberg::Table::"default/a/seen");`},
		{"condition", `permit (principal in Floeberg::Group::"writer", action, resource in Floeberg::Namespace::"default/a") when { resource.name like "seen*" };`},
	} {
		s.PutPolicies("", `
			permit (principal in Floeberg::Group::"admin", action, resource);
			permit (principal in Floeberg::Group::"writer", action, resource == Floeberg::Namespace::"default/a");
			permit (principal in Floeberg::Group::"writer", action in [Floeberg::Action::"GetConfig", Floeberg::Action::"ListNamespaces", Floeberg::Action::"CreateNamespace"], resource == Floeberg::Warehouse::"default");`+policies.text)
		for _, p := range probes() {
			b.Run(policies.name+"/"+p.name, func(b *testing.B) { compare(b, h, p.hidden, p.absent) })
		}
	}
}

// compare measures two requests in turns.
func compare(b *testing.B, h http.Handler, hidden, absent ask) {
	one, other := hidden.of(h), absent.of(h)
	if one.Code != other.Code || one.Code < 400 || one.Body.Len() != other.Body.Len() {
		b.Fatalf("%s %s is answered %d %s, %s %s %d %s", hidden.method, hidden.path, one.Code, one.Body, absent.method, absent.path, other.Code, other.Body)
	}
	var took [2][]time.Duration
	for i := 0; b.Loop(); i++ {
		for _, which := range [2]int{i % 2, 1 - i%2} {
			r, w := [2]ask{hidden, absent}[which].request(), httptest.NewRecorder()
			start := time.Now()
			h.ServeHTTP(w, r)
			took[which] = append(took[which], time.Since(start))
		}
	}
	low, high := medianDifference(took[0], took[1])
	b.ReportMetric(float64(median(took[0]).Nanoseconds()), "hidden-ns")
	b.ReportMetric(float64(median(took[1]).Nanoseconds()), "absent-ns")
	b.ReportMetric(float64(low.Nanoseconds()), "low-ns")
	b.ReportMetric(float64(high.Nanoseconds()), "high-ns")
	b.ReportMetric(100*oftenLonger(took[0], took[1]), "longer-%")
}

func median(of []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// medianDifference is where the difference of two medians is with 95 percent, found by
// drawing samples of the samples.
func medianDifference(a, b []time.Duration) (low, high time.Duration) {
	const draws = 400
	random := rand.New(rand.NewPCG(1, 2))
	drawn := make([]time.Duration, draws)
	for i := range drawn {
		drawn[i] = median(redrawn(random, a)) - median(redrawn(random, b))
	}
	slices.Sort(drawn)
	return drawn[draws/40], drawn[draws-1-draws/40]
}

func redrawn(random *rand.Rand, of []time.Duration) []time.Duration {
	out := make([]time.Duration, len(of))
	for i := range out {
		out[i] = of[random.IntN(len(of))]
	}
	return out
}

// oftenLonger is how often one of the first is larger than one of the second.
func oftenLonger(a, b []time.Duration) float64 {
	b = slices.Sorted(slices.Values(b))
	sum := 0.0
	for _, d := range a {
		from, _ := slices.BinarySearch(b, d)
		to, _ := slices.BinarySearch(b, d+1)
		sum += float64(from+to) / 2
	}
	return sum / float64(len(a)) / float64(len(b))
}

// The benchmark compares what differs in nothing but names of one length.
func TestProbesAreAlike(t *testing.T) {
	t.Parallel()
	for _, p := range probes() {
		if len(p.hidden.path) != len(p.absent.path) || len(p.hidden.body) != len(p.absent.body) {
			t.Errorf("%s: %s %s and %s %s", p.name, p.hidden.path, p.hidden.body, p.absent.path, p.absent.body)
		}
	}
}
