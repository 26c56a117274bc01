package audit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/ops/audit"
)

// What a decision looked at is on record as it was, or is known not to be.
func TestCircumstances(t *testing.T) {
	t.Parallel()
	under := audit.Circumstances{
		Time: time.Date(2026, 1, 31, 12, 0, 0, 5e6, time.UTC), Authentication: "oidc", Access: "read",
		ReferencedBy: []audit.Resource{{Kind: "View", Warehouse: "w", Namespace: []string{"a.b", "c\n"}, Name: "v\u202e"}},
	}
	long := strings.Repeat("n", 600)
	many := make([]string, 5000)
	for i := range many {
		many[i] = strings.Repeat("g", 100)
	}
	table := func(namespace []string, name string) *audit.Resource {
		return &audit.Resource{Kind: "Table", Warehouse: "w", Namespace: namespace, Name: name}
	}
	views := func(names ...string) (out []audit.Resource) {
		for _, name := range names {
			out = append(out, *table([]string{"a"}, name))
		}
		return out
	}
	for name, tc := range map[string]struct {
		record audit.Record
		want   audit.Circumstances
		ok     bool
	}{
		"as it was":                       {audit.Record{Context: under.Raw(), Resource: table([]string{"a"}, "t…"), Groups: []string{"… more"}[:0]}, under, true},
		"of before they were kept":        {audit.Record{Resource: table([]string{"a"}, "t")}, audit.Circumstances{}, true},
		"with a long name":                {audit.Record{Context: under.Raw(), Resource: table([]string{"a"}, long)}, audit.Circumstances{}, false},
		"with a long level":               {audit.Record{Context: under.Raw(), Resource: table([]string{long}, "t")}, audit.Circumstances{}, false},
		"with many levels":                {audit.Record{Context: under.Raw(), Resource: table(many, "t")}, audit.Circumstances{}, false},
		"with a long principal":           {audit.Record{Context: under.Raw(), Principal: long}, audit.Circumstances{}, false},
		"with many groups":                {audit.Record{Context: under.Raw(), Groups: many}, audit.Circumstances{}, false},
		"through a view with a long name": {audit.Record{Context: audit.Circumstances{ReferencedBy: views(long)}.Raw()}, audit.Circumstances{}, false},
		"through many views":              {audit.Record{Context: audit.Circumstances{ReferencedBy: views(many...)}.Raw()}, audit.Circumstances{}, false},
		"of something else":               {audit.Record{Context: []byte(`{"time":7}`)}, audit.Circumstances{}, false},
	} {
		dir, c := t.TempDir(), newClock()
		log := open(t, audit.Options{Sinks: []audit.Sink{openFile(t, dir, c)}, Now: c.Now})
		tc.record.Event = audit.Decision
		log.Note(tc.record)
		found := find(t, log, audit.Query{Event: audit.Decision}, audit.Position{}, 1)
		if got, ok := found[0].Circumstances(); ok != tc.ok || !cmp.Equal(got, tc.want) {
			t.Errorf("%s: %v %+v", name, ok, got)
		}
	}
}
