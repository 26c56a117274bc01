package cedar

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/authz"
)

func TestIDsAreReadable(t *testing.T) {
	t.Parallel()
	ns := func(levels ...string) []string { return levels }
	for want, r := range map[string]authz.Resource{
		"cluster":                    {Kind: authz.KindCluster},
		"prod":                       {Kind: authz.KindWarehouse, Warehouse: "prod"},
		"prod/sales/emea":            {Kind: authz.KindNamespace, Warehouse: "prod", Namespace: ns("sales", "emea")},
		"prod/sales.emea":            {Kind: authz.KindNamespace, Warehouse: "prod", Namespace: ns("sales.emea")},
		"prod/sales/O'Brien's 50%25": {Kind: authz.KindTable, Warehouse: "prod", Namespace: ns("sales"), Name: "O'Brien's 50%"},
		"prod/a%2Fb/größe":           {Kind: authz.KindView, Warehouse: "prod", Namespace: ns("a/b"), Name: "größe"},
		"prod/a%00%1F/%FF%22%5C":     {Kind: authz.KindTable, Warehouse: "prod", Namespace: ns("a\x00\x1f"), Name: "\xff\"\\"},
		"prod/a%E2%80%8Bb":           {Kind: authz.KindNamespace, Warehouse: "prod", Namespace: ns("a\u200bb")},
		"warehouse/cluster":          {Kind: authz.KindPolicySet, Warehouse: "cluster"},
	} {
		if got := ID(r); got != want {
			t.Errorf("%v: %q, want %q", r, got, want)
		}
	}
}

func aName() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[ab%/."\\\x00\x1f]{1,6}`),
		rapid.SampledFrom([]string{"a", "b", "a/b", "a%2Fb", "%", "%25", "ä", "a\u0308", "\xff", "\xc3", "x\u200b", "\u202ex", "a.b"}),
		rapid.StringN(1, 8, -1),
	)
}

// No two resources have one id, whatever their names are, and each name can be
// read back.
func TestIDsAreUnambiguous(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		path := func(label string) []string { return rapid.SliceOfN(aName(), 3, 5).Draw(t, label) }
		one, two := path("one"), path("two")
		id := func(path []string) string {
			return ID(authz.Resource{Kind: authz.KindTable, Warehouse: path[0], Namespace: path[1 : len(path)-1], Name: path[len(path)-1]})
		}
		if (id(one) == id(two)) != slices.Equal(one, two) {
			t.Fatalf("%q and %q: %q, %q", one, two, id(one), id(two))
		}
		var back []string
		for _, text := range strings.Split(id(one), "/") {
			name, ok := unescapeName(text)
			if !ok {
				t.Fatalf("%q of %q can't be read", text, id(one))
			}
			back = append(back, name)
		}
		if !slices.Equal(one, back) {
			t.Fatalf("%q became %q and that %q", one, id(one), back)
		}
	})
}

// A text that is no id's own form is read as nothing: of two spellings a policy
// would name one that never comes.
func TestNamesHaveOneSpelling(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"%2f", "%61", "%", "%2", "a b%", "%GG", "\"", "\x01", "\u200b", "\xff"} {
		if name, ok := unescapeName(text); ok {
			t.Errorf("%q is read as %q", text, name)
		}
	}
}
