package cluster_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// The tests of this file are mistakes that other catalogs made with names.

const token = cluster.Key

func escapeQuery(s string) string { return url.QueryEscape(s) }

// TestNamesInPaths reaches names by each spelling that released clients use.
func TestNamesInPaths(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	for _, test := range []struct {
		name  string
		paths []string
	}{
		{"a b", []string{"a+b", "a%20b"}},
		{"a+b", []string{"a%2Bb"}},
		{"a/b", []string{"a%2Fb", "a%2fb"}},
		{"a%2Fb", []string{"a%252Fb"}},
		{"100%", []string{"100%25"}},
		{"a.b", []string{"a.b", "a%2Eb"}},
		{"ünïcode", []string{"%C3%BCn%C3%AFcode"}},
		{"日本", []string{"%E6%97%A5%E6%9C%AC"}},
		{"it's", []string{"it's", "it%27s"}},
		{"col=1", []string{"col=1", "col%3D1"}},
		{"_under__score_", []string{"_under__score_"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ns := fresh("enc") + test.name
			do(t, c, http.StatusOK, client.NamespaceRequest(c, nil, ns))
			created := do(t, c, http.StatusOK, client.CreateTableRequest(c, ns, test.name))
			if !strings.HasPrefix(tableOf(t, created).MetadataLocation, tableOf(t, created).Metadata.Location) {
				t.Errorf("metadata file and location do not fit: %s", created)
			}
			prefix := strings.TrimSuffix(ns, test.name)
			for _, path := range test.paths {
				do(t, c, http.StatusOK, get(c.NamespacePath()+"/"+prefix+path))
				do(t, c, http.StatusOK, get(c.NamespacePath()+"/"+prefix+path+"/tables/"+path))
			}
			var list struct {
				Identifiers []struct {
					Namespace []string
					Name      string
				}
			}
			if err := do(t, c, http.StatusOK, get(c.NamespacePath(ns)+"/tables")).Decode(&list); err != nil {
				t.Fatal(err)
			}
			if len(list.Identifiers) != 1 || list.Identifiers[0].Name != test.name || list.Identifiers[0].Namespace[0] != ns {
				t.Errorf("listed as %+v", list.Identifiers)
			}
		})
	}
}

// TestNamesThatAreKeptApart are names that other catalogs took for one another.
func TestNamesThatAreKeptApart(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	locations := map[string]string{}
	for _, name := range []string{"a/b", "a%2Fb", "a b", "a+b", "a%20b", "T", "t", "a.b", "ab", "é", "e\u0301"} {
		location := tableOf(t, do(t, c, http.StatusOK, client.CreateTableRequest(c, ns, name))).Metadata.Location
		if other, taken := locations[location]; taken {
			t.Errorf("%q and %q share %s", name, other, location)
		}
		locations[location] = name
	}
	// a.b as one level and as two.
	dotted := fresh("d")
	do(t, c, http.StatusOK, client.NamespaceRequest(c, nil, dotted))
	do(t, c, http.StatusOK, client.NamespaceRequest(c, nil, dotted, "b"))
	do(t, c, http.StatusNotFound, get(c.NamespacePath(dotted+".b")))
	do(t, c, http.StatusOK, client.NamespaceRequest(c, nil, dotted+".b"))
	do(t, c, http.StatusOK, client.CreateTableRequest(c, dotted+".b", "one"))
	do(t, c, http.StatusNotFound, get(c.NamespacePath(dotted, "b")+"/tables/one"))
}

// TestNamesThatAreRefused can't be stored or shown without harm.
func TestNamesThatAreRefused(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	for _, name := range []string{"", ".", "..", "a\x00b", "a\x1fb", "a\nb", "a\x7fb", strings.Repeat("x", 5000)} {
		if res := do(t, c, http.StatusBadRequest, client.CreateTableRequest(c, ns, name)); res.Error().Code != http.StatusBadRequest {
			t.Errorf("table %.20q: no Iceberg error body: %s", name, res)
		}
		if res := do(t, c, http.StatusBadRequest, client.NamespaceRequest(c, nil, ns, name)); res.Error().Code != http.StatusBadRequest {
			t.Errorf("namespace %.20q: no Iceberg error body: %s", name, res)
		}
	}
}

// TestNestedNamespaces makes, lists and reaches namespaces of several levels,
// by the separator that is always understood and by the one advertised.
func TestNestedNamespaces(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	top := namespace(t, c)
	refused(t, c, http.StatusNotFound, "NoSuchNamespaceException", client.NamespaceRequest(c, nil, top, "absent", "child"))
	do(t, c, http.StatusOK, client.NamespaceRequest(c, nil, top, "b"))
	do(t, c, http.StatusOK, client.NamespaceRequest(c, nil, top, "b", "c"))
	do(t, c, http.StatusOK, get(c.NamespacePath()+"/"+top+"%1Fb%1Fc"))
	do(t, c, http.StatusOK, get(c.NamespacePath()+"/"+top+"%1fb%1fc"))

	var config struct{ Overrides, Defaults map[string]string }
	if err := do(t, c, http.StatusOK, get("/v1/config")).Decode(&config); err != nil {
		t.Fatal(err)
	}
	separator := config.Overrides["namespace-separator"]
	if separator == "" {
		separator = config.Defaults["namespace-separator"]
	}
	if separator != "" {
		do(t, c, http.StatusOK, get(c.NamespacePath()+"/"+top+separator+"b"+separator+"c"))
		do(t, c, http.StatusOK, get(c.NamespacePath()+"?parent="+top+separator+"b"))
	}

	list := func(query string) [][]string {
		var body struct{ Namespaces [][]string }
		if err := do(t, c, http.StatusOK, get(c.NamespacePath()+query)).Decode(&body); err != nil {
			t.Fatal(err)
		}
		return body.Namespaces
	}
	if got := list("?parent=" + top); len(got) != 1 || strings.Join(got[0], "/") != top+"/b" {
		t.Errorf("children of %s: %v", top, got)
	}
	if got := list("?parent=" + top + "%1Fb"); len(got) != 1 || strings.Join(got[0], "/") != top+"/b/c" {
		t.Errorf("children of %s.b: %v", top, got)
	}
	for _, levels := range append(list(""), list("?parent=")...) {
		if len(levels) != 1 {
			t.Errorf("among the top level: %v", levels)
		}
	}
	refused(t, c, http.StatusConflict, "NamespaceNotEmptyException", client.Request{Method: http.MethodDelete, Path: c.NamespacePath(top)})
	for _, levels := range [][]string{{top, "b", "c"}, {top, "b"}, {top}} {
		do(t, c, http.StatusNoContent, client.Request{Method: http.MethodDelete, Path: c.NamespacePath(levels...)})
	}
}

// TestLocations places tables: inside the warehouse where asked, never across
// another table, never outside.
func TestLocations(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c := s.Client()
	ns := namespace(t, c)
	var info struct{ Properties map[string]string }
	if err := do(t, c, http.StatusOK, get(c.NamespacePath(ns))).Decode(&info); err != nil {
		t.Fatal(err)
	}
	root := info.Properties["location"]
	if root == "" {
		t.Fatal("the namespace has no location")
	}
	at := func(location string) client.Request {
		r := client.CreateTableRequest(c, ns, fresh("at"))
		r.Body.(client.Object)["location"] = location
		return r
	}
	do(t, c, http.StatusOK, at(root+"/mine-1"))
	do(t, c, http.StatusOK, at(root+"/mine-10"))
	for _, location := range []string{
		root + "/mine-1", root + "/mine-1/", root + "/mine-1/below", root + "//mine-1",
		s.Warehouse(), s.Warehouse() + "/..", s.Warehouse() + "/../elsewhere", s.Warehouse() + "-evil/t",
		"file:///etc/floeberg", "s3://other/t", "relative/t",
	} {
		res := send(t, c, at(location))
		if res.Status < 400 || res.Status > 499 || res.Error().Code != res.Status {
			t.Errorf("a table at %s: want it refused, got %s", location, res)
		}
	}
	name, _ := table(t, c, ns)
	for _, updates := range [][]client.Object{
		{{"action": "set-location", "location": "file:///etc/floeberg"}},
		{{"action": "set-location", "location": root + "/mine-10"}},
		{setProperty("write.metadata.path", "file:///etc/floeberg")},
		{setProperty("write.data.path", "s3://other/t")},
	} {
		res := send(t, c, client.CommitRequest(c, ns, name, nil, updates))
		if res.Status < 400 || res.Status > 499 {
			t.Errorf("%v: want it refused, got %s", updates, res)
		}
	}
}

// send sends a request whose answer the caller judges.
func send(t testing.TB, c *client.Client, r client.Request) *client.Response {
	t.Helper()
	res, err := c.Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}
