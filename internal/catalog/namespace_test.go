package catalog

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNamespaceLifecycle(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	_, err := a.CreateNamespace(t.Context(), Change{}, "", Namespace{"a", "b"}, nil)
	wantKind(t, err, KindNoSuchNamespace)
	made, err := a.CreateNamespace(t.Context(), Change{}, "", Namespace{"a"}, map[string]string{"owner": "me"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"owner": "me", "location": s.root + "/a"}
	if diff := cmp.Diff(want, made.Properties); diff != "" {
		t.Error(diff)
	}
	_, err = b.CreateNamespace(t.Context(), Change{}, "", Namespace{"a"}, nil)
	wantKind(t, err, KindAlreadyExists)
	mustNamespace(t, b, "a", "b")
	_, err = a.DropNamespace(t.Context(), Change{}, "", Namespace{"a"})
	wantKind(t, err, KindNotEmpty)
	mustTable(t, a, "a", "b", "t")
	_, err = a.DropNamespace(t.Context(), Change{}, "", Namespace{"a", "b"})
	wantKind(t, err, KindNotEmpty)
	if _, err := b.DropTable(t.Context(), Change{}, "", ident("a", "b", "t"), false); err != nil {
		t.Fatal(err)
	}
	for _, path := range []Namespace{{"a", "b"}, {"a"}} {
		if _, err := a.DropNamespace(t.Context(), Change{}, "", path); err != nil {
			t.Fatal(err)
		}
		_, err := b.LoadNamespace(t.Context(), Read{}, "", path)
		wantKind(t, err, KindNoSuchNamespace)
	}
}

func TestNamespaceProperties(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "a")
	got, err := c.UpdateNamespaceProperties(t.Context(), Change{}, "", Namespace{"a"}, []string{"x"}, map[string]string{"k": "v", "location": s.root + "/other"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"k", "location"}, nil, {"x"}}, [][]string{got.Updated, got.Removed, got.Missing}); diff != "" {
		t.Error(diff)
	}
	if made := mustTable(t, c, "a", "t"); !strings.HasPrefix(made.MetadataLocation, s.root+"/other/t-") {
		t.Errorf("a table went to %s", made.MetadataLocation)
	}
	_, err = c.UpdateNamespaceProperties(t.Context(), Change{}, "", Namespace{"a"}, []string{"k"}, map[string]string{"k": "v"})
	wantKind(t, err, KindUnprocessable)
	_, err = c.UpdateNamespaceProperties(t.Context(), Change{}, "", Namespace{"a"}, nil, map[string]string{"location": "file:///elsewhere"})
	wantKind(t, err, KindForbiddenLocation)
	if got, err = c.UpdateNamespaceProperties(t.Context(), Change{}, "", Namespace{"a"}, []string{"k", "location"}, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"k", "location"}, got.Removed); diff != "" {
		t.Error(diff)
	}
	info, err := c.LoadNamespace(t.Context(), Read{}, "", Namespace{"a"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"location": s.root + "/a"}, info.Properties); diff != "" {
		t.Error(diff)
	}
}

func TestConcurrentPropertyUpdatesLoseNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nodes := []*Catalog{s.node(), s.node(), s.node()}
	mustNamespace(t, nodes[0], "a")
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			if _, err := nodes[i%3].UpdateNamespaceProperties(t.Context(), Change{}, "", Namespace{"a"}, nil, map[string]string{fmt.Sprint("k", i): "v"}); err != nil {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	info, err := nodes[2].LoadNamespace(t.Context(), Read{}, "", Namespace{"a"})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(info.Properties); got != 31 {
		t.Errorf("%d properties, want 30 and the location", got)
	}
}

func TestNamesOfAnyKind(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	names := []string{"a b", "a+b", "a/b", "a%2Fb", "a.b", "..", ".", "ü", "日本", "a'b\"c", "A", "a", "*?", "a\\b", "metadata"}
	locations := make(map[string]string)
	for _, name := range names {
		mustNamespace(t, c, name)
		made := mustTable(t, c, name, name)
		if other, taken := locations[made.MetadataLocation]; taken {
			t.Errorf("%q and %q share %s", name, other, made.MetadataLocation)
		}
		locations[made.MetadataLocation] = name
		mustLoad(t, c, name, name)
	}
	list, err := c.ListNamespaces(t.Context(), Read{}, "", nil, Page{})
	if err != nil {
		t.Fatal(err)
	}
	all, _ := entries(t, list)
	var got []string
	for _, ns := range all {
		got = append(got, ns[0])
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("listing is not the names in byte order: %s", diff)
	}
	for _, bad := range []string{"", "a\x00b", "a\x1Fb", "a\nb", "\x7F", strings.Repeat("x", 513), "a\xffb"} {
		_, err := c.CreateNamespace(t.Context(), Change{}, "", Namespace{bad}, nil)
		wantKind(t, err, KindInvalid)
	}
}
