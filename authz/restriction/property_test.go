package restriction_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/authz/restriction"
)

// told is what a reader is told.
type told struct {
	Projections []struct {
		ID     int                `json:"field-id"`
		Action restriction.Action `json:"action"`
	} `json:"required-column-projections"`
	Filter json.RawMessage `json:"required-row-filter"`
}

func readTold(t interface{ Fatal(...any) }, b *restriction.Bound) told {
	var out told
	if b == nil {
		return out
	}
	if err := json.Unmarshal(b.JSON(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// maskedBy are the fields that a reader masks, in order.
func maskedBy(t interface{ Fatal(...any) }, b *restriction.Bound) []int {
	ids := map[int]bool{}
	for _, p := range readTold(t, b).Projections {
		ids[p.ID] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// conditions are the conditions that a filter puts together by "and".
func conditions(t *rapid.T, filter json.RawMessage) []string {
	if len(filter) == 0 {
		return nil
	}
	var and struct {
		Type        string
		Left, Right json.RawMessage
	}
	if err := json.Unmarshal(filter, &and); err == nil && and.Type == "and" {
		return append(conditions(t, and.Left), conditions(t, and.Right)...)
	}
	return []string{string(filter)}
}

func drawnRestriction(t *rapid.T) *restriction.Restriction {
	filter := rapid.SampledFrom([]string{"", "", `{"type":"eq","term":"region","value":"EU"}`, `{"type":"is-null","term":"user.ssn"}`, `{"type":"gt","term":"paid","value":1}`, "false"}).Draw(t, "filter")
	masks := rapid.SampledFrom([]string{
		"", "", `{"card":"show-last-4"}`, `{"card":"show-first-4"}`, `{"card":"sha-256-global","born":"truncate-to-month"}`, `{"born":"truncate-to-year"}`,
		`{"user":"mask-to-fixed-value"}`, `{"user.ssn":"sha-256-query-local","id":"replace-with-null"}`, `{"user.phone":"mask-alphanum"}`, `{"card":"replace-with-null"}`,
	}).Draw(t, "masks")
	return restrict(t, rapid.SampledFrom([]string{"p", "q", "r"}).Draw(t, "policy"), filter, masks)
}

// One more restriction takes none of the others away: each field that was masked is
// masked no less strictly, by itself or with what it is in, and no condition is gone.
func TestRestrictionsOnlyAdd(t *testing.T) {
	t.Parallel()
	l := lineage(t, fields)
	rapid.Check(t, func(t *rapid.T) {
		set := restriction.Set(rapid.SliceOfN(rapid.Custom(drawnRestriction), 0, 5).Draw(t, "set"))
		more := slices.Insert(slices.Clone(set), rapid.IntRange(0, len(set)).Draw(t, "at"), drawnRestriction(t))
		one, err := set.Bind(l)
		if err != nil {
			t.Fatal(err)
		}
		two, err := more.Bind(l)
		if err != nil {
			t.Fatal(err)
		}
		before, after := readTold(t, one), readTold(t, two)
		for _, p := range before.Projections {
			covered := false
			for _, q := range after.Projections {
				inside, _ := l.Within(p.ID, q.ID)
				covered = covered || inside || p.ID == q.ID && restriction.Strictest(p.Action, q.Action) == q.Action
			}
			if !covered {
				t.Fatalf("field %d was masked by %s; now there is %+v", p.ID, p.Action, after.Projections)
			}
		}
		for _, c := range conditions(t, before.Filter) {
			if !slices.Contains(conditions(t, after.Filter), c) {
				t.Fatalf("%s is gone from %s", c, after.Filter)
			}
		}
		for i, p := range after.Projections {
			for _, q := range after.Projections[i+1:] {
				in, _ := l.Within(p.ID, q.ID)
				around, _ := l.Within(q.ID, p.ID)
				if in || around || p.ID == q.ID {
					t.Fatalf("readers refuse masks of %d and %d", p.ID, q.ID)
				}
			}
		}
		if (set.Digest() == more.Digest()) != (len(set) == len(more)) {
			t.Fatal("different sets have one digest")
		}
	})
}

// The strictest of several is the same in whatever order they come, and as strict as each.
func TestStrictest(t *testing.T) {
	t.Parallel()
	all := restriction.Actions()
	if len(all) != 9 {
		t.Fatalf("the protocol has 9 actions, here are %v", all)
	}
	for _, a := range all {
		for _, b := range all {
			ab := restriction.Strictest(a, b)
			if ab != restriction.Strictest(b, a) || restriction.Strictest(a, ab) != ab || restriction.Strictest(b, ab) != ab {
				t.Errorf("%s and %s: %s", a, b, ab)
			}
			for _, c := range all {
				if restriction.Strictest(ab, c) != restriction.Strictest(a, restriction.Strictest(b, c)) {
					t.Errorf("%s, %s, %s", a, b, c)
				}
			}
		}
		if restriction.Strictest(a, a) != a || restriction.Strictest(a, restriction.ReplaceWithNull) != restriction.ReplaceWithNull {
			t.Errorf("%s", a)
		}
	}
	for _, tc := range [][3]restriction.Action{
		{restriction.ShowFirst4, restriction.ShowLast4, restriction.MaskAlphanum},
		{restriction.TruncateToMonth, restriction.TruncateToYear, restriction.TruncateToYear},
		{restriction.SHA256Global, restriction.SHA256QueryLocal, restriction.SHA256QueryLocal},
		{restriction.ShowLast4, restriction.SHA256Global, restriction.MaskToFixedValue},
		{restriction.ShowLast4, restriction.MaskToFixedValue, restriction.MaskToFixedValue},
	} {
		if got := restriction.Strictest(tc[0], tc[1]); got != tc[2] {
			t.Errorf("%s and %s: %s, want %s", tc[0], tc[1], got, tc[2])
		}
	}
}
