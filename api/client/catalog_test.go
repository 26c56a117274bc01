package client_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/client"
)

// protocol is a catalog with another prefix and another separator than ours.
func protocol(t *testing.T) *script {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch at := r.URL.EscapedPath() + "?" + r.URL.RawQuery; at {
		case "/v1/config?warehouse=a+%26+b":
			answer(200, `{"defaults":{"prefix":"not-this"},"overrides":{"prefix":"ws%2F1","namespace-separator":"%2E"}}`)(w, r)
		case "/v1/ws%2F1/namespaces?pageToken=":
			answer(200, `{"namespaces":[["a"]],"next-page-token":"t/1"}`)(w, r)
		case "/v1/ws%2F1/namespaces?pageToken=t%2F1":
			answer(200, `{"namespaces":[["b"]],"next-page-token":null}`)(w, r)
		case "/v1/ws%2F1/namespaces?pageToken=&parent=a":
			answer(200, `{"namespaces":[["a","x+y"]]}`)(w, r)
		case "/v1/ws%2F1/namespaces?pageToken=&parent=a.x%2By":
			refuse(404, "NoSuchNamespaceException", "gone since", "")(w, r)
		case "/v1/ws%2F1/namespaces?pageToken=&parent=b":
			answer(200, `{"namespaces":[]}`)(w, r)
		case "/v1/ws%2F1/namespaces/a.x%2By/views?pageToken=":
			answer(200, `{"identifiers":[{"namespace":["a","x+y"],"name":"v"}]}`)(w, r)
		case "/v1/ws%2F1/namespaces/a.x%2By/views/v%2F%20w?":
			answer(200, view)(w, r)
		case "/v1/ws%2F1/namespaces/loop/tables?pageToken=":
			answer(200, `{"identifiers":[],"next-page-token":"again"}`)(w, r)
		case "/v1/ws%2F1/namespaces/loop/tables?pageToken=again":
			answer(200, `{"identifiers":[],"next-page-token":"again"}`)(w, r)
		case "/v1/ws%2F1/namespaces/loop/tables/t?":
			answer(200, `{"metadata":{"current-schema-id":7,"schemas":[]}}`)(w, r)
		default:
			t.Errorf("asked for %s", at)
		}
	})
}

const view = `{"metadata-location":"s3://b/v1.json","metadata":{"view-uuid":"u","format-version":1,"location":"s3://b","current-version-id":2,
	"properties":{"k":"v"},"schemas":[{"schema-id":0,"fields":[{"id":1,"name":"x","type":"int","required":false}]}],
	"versions":[
		{"version-id":1,"timestamp-ms":1000,"schema-id":0,"summary":{},"default-namespace":[],"representations":[{"type":"sql","sql":"SELECT 1","dialect":"spark"}]},
		{"version-id":2,"timestamp-ms":2000,"schema-id":0,"summary":{"engine":"spark"},"default-catalog":"c","default-namespace":["a"],
			"representations":[{"type":"sql","sql":"SELECT 2","dialect":"spark"},{"type":"other"},{"type":"sql","sql":"SELECT 2 AS x","dialect":"trino"}]}]}}`

func abroad(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Addresses: []string{protocol(t).URL}, Warehouse: "a & b"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Prefix and separator are the server's to say.
func TestListings(t *testing.T) {
	t.Parallel()
	c := abroad(t)
	var got []string
	for name, err := range c.AllNamespaces(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, name.String())
	}
	if diff := cmp.Diff([]string{"a", "a.x+y", "b"}, got); diff != "" {
		t.Error(diff)
	}
	for name, err := range c.Views(t.Context(), []string{"a", "x+y"}) {
		if err != nil || name.String() != "a.x+y.v" {
			t.Errorf("%s, %v", name, err)
		}
	}
	var failed error
	for _, err := range c.Tables(t.Context(), []string{"loop"}) {
		failed = err
	}
	if failed == nil || !strings.Contains(failed.Error(), "leads to itself") {
		t.Errorf("a listing that never ends: %v", failed)
	}
	if got, err := c.Warehouse(t.Context()); err != nil || got != "ws/1" {
		t.Errorf("the warehouse is %q, %v", got, err)
	}
}

func TestShowView(t *testing.T) {
	t.Parallel()
	c := abroad(t)
	got, err := c.View(t.Context(), client.Name{"a", "x+y", "v/ w"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]client.SQL{{Dialect: "spark", Text: "SELECT 2"}, {Dialect: "trino", Text: "SELECT 2 AS x"}}, got.SQL); diff != "" {
		t.Error(diff)
	}
	if got.CurrentVersionID != 2 || len(got.Versions) != 2 || got.Versions[1].CreatedAt.Unix() != 2 || got.Columns[0].Name != "x" ||
		got.DefaultCatalog != "c" || got.Properties["k"] != "v" || got.MetadataLocation != "s3://b/v1.json" {
		t.Errorf("got %+v", got)
	}
	if _, err := c.Table(t.Context(), client.Name{"loop", "t"}); err == nil || !strings.Contains(err.Error(), "schema 7") {
		t.Errorf("metadata that contradicts itself: %v", err)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	type page struct {
		Items []int  `json:"items"`
		Next  string `json:"next_page_token"`
	}
	s := serve(t, answer(200, `{"items":[1],"next_page_token":"n"}`), answer(200, `{"items":[2]}`))
	c := newClient(t, s.URL)
	var got []int
	for p, err := range client.Pages(t.Context(), c, "/management/v1/x", url.Values{"q": {"1"}}, func(p *page) string { return p.Next }) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p.Items...)
	}
	if diff := cmp.Diff([]int{1, 2}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("page_token=n&q=1", s.requests()[1].URL.RawQuery); diff != "" {
		t.Error(diff)
	}
}
