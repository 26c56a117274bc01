package rest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// discard is a client that takes everything and keeps nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkLoadTable is what the protocol adds to a table whose document is in
// the catalog's cache.
func BenchmarkLoadTable(b *testing.B) {
	h := newSite(b).node("n1")
	createNamespace(b, h, "a")
	w := ask{method: "POST", path: tables, body: createTableBody("t")}.want(b, h, 200)
	b.Run("full", func(b *testing.B) { benchmark(b, h, "") })
	b.Run("not-modified", func(b *testing.B) { benchmark(b, h, w.Header().Get("ETag")) })
}

func benchmark(b *testing.B, h http.Handler, tag string) {
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("GET", table, nil)
		r.Header.Set("Authorization", "Bearer "+keyOf("admin"))
		if tag != "" {
			r.Header.Set("If-None-Match", tag)
		}
		h.ServeHTTP(&discard{header: http.Header{}}, r)
	}
}
