package rest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// plain is an answer's body as it is without compression.
func plain(t testing.TB, w *httptest.ResponseRecorder) []byte {
	t.Helper()
	if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
		t.Fatalf("Content-Length is %q for %d bytes", got, w.Body.Len())
	}
	var r io.Reader = bytes.NewReader(w.Body.Bytes())
	var err error
	switch encoding := w.Header().Get("Content-Encoding"); encoding {
	case "":
	case "gzip":
		r, err = gzip.NewReader(r)
	case "zstd":
		r, err = zstd.NewReader(r)
	default:
		t.Fatalf("Content-Encoding is %q", encoding)
	}
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func encoded(accept string) http.Header { return http.Header{"Accept-Encoding": {accept}} }

func TestEncodings(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one, two := s.node("n1"), s.node("n2")
	createNamespace(t, one, "a")
	ask{method: "POST", path: tables, body: createTableBody("t")}.want(t, one, 200)
	grow(t, one, 20)
	bare := ask{method: "GET", path: table}.want(t, one, 200)
	tag := bare.Header().Get("ETag")
	tags := map[string]string{}
	for _, encoding := range []string{"identity", "gzip", "zstd"} {
		for _, h := range []http.Handler{one, two, one} {
			w := ask{method: "GET", path: table, header: encoded(encoding)}.want(t, h, 200)
			if got := plain(t, w); !bytes.Equal(got, bare.Body.Bytes()) {
				t.Fatalf("%s: %s", encoding, got)
			}
			if got := w.Header().Get("Content-Encoding"); got != strings.TrimPrefix(encoding, "identity") {
				t.Errorf("asked for %s, got %q", encoding, got)
			}
			if last, ok := tags[encoding]; ok && w.Header().Get("ETag") != last {
				t.Errorf("%s: tags %s and %s", encoding, w.Header().Get("ETag"), last)
			}
			tags[encoding] = w.Header().Get("ETag")
		}
	}
	if tags["identity"] != tag || tags["gzip"] == tag || tags["zstd"] == tag || tags["gzip"] == tags["zstd"] {
		t.Errorf("tags %v", tags)
	}
	// What a client got in one encoding it has, in whichever it asks for now.
	for _, held := range tags {
		for _, accept := range []string{"identity", "gzip", "zstd"} {
			header := encoded(accept)
			header.Set("If-None-Match", held)
			w := ask{method: "GET", path: table, header: header}.want(t, two, 304)
			if w.Body.Len() > 0 || w.Header().Get("Content-Encoding") != "" || w.Header().Get("ETag") != held {
				t.Errorf("%v %s", w.Header(), w.Body)
			}
		}
	}

	// A commit's answer and the load that follows have one tag, in each encoding.
	for _, accept := range []string{"identity", "gzip", "zstd"} {
		committed := ask{method: "POST", path: table, body: setProperty("k", accept), header: encoded(accept)}.want(t, one, 200)
		loaded := ask{method: "GET", path: table, header: encoded(accept)}.want(t, two, 200)
		if committed.Header().Get("ETag") != loaded.Header().Get("ETag") || !strings.Contains(string(plain(t, committed)), `"k":"`+accept+`"`) {
			t.Errorf("%s: %v, then %v", accept, committed.Header(), loaded.Header())
		}
		refs := ask{method: "GET", path: table + "?snapshots=refs", header: encoded(accept)}.want(t, two, 200)
		var doc struct {
			Metadata struct{ Snapshots []json.RawMessage }
		}
		if err := json.Unmarshal(plain(t, refs), &doc); err != nil || len(doc.Metadata.Snapshots) != 1 {
			t.Errorf("%s: %v, %d referenced snapshots", accept, err, len(doc.Metadata.Snapshots))
		}
	}
}

// What is small is not worth it, and what has no body has none in any encoding.
func TestAnswersThatAreNotCompressed(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	createNamespace(t, h, "a")
	ask{method: "POST", path: tables, body: createTableBody("t"), header: encoded("gzip")}.want(t, h, 200)
	for _, a := range []ask{
		{method: "GET", path: "/v1/config"},
		{method: "GET", path: "/v1/default/namespaces/a"},
		{method: "HEAD", path: "/v1/default/namespaces/a"},
		{method: "HEAD", path: table},
		{method: "GET", path: tables + "/none?snapshots=" + strings.Repeat("x", 3000)},
		{method: "GET", path: "/nowhere"},
		{method: "DELETE", path: table},
	} {
		a.header = encoded("gzip")
		w := a.of(h)
		if w.Header().Get("Content-Encoding") != "" || !strings.Contains(w.Header().Get("Vary"), "Accept-Encoding") {
			t.Errorf("%s %s: %v", a.method, a.path, w.Header())
		}
	}
	// Unless that is all that the client reads.
	w := ask{method: "GET", path: "/v1/config", header: encoded("gzip, identity;q=0")}.want(t, h, 200)
	if w.Header().Get("Content-Encoding") != "gzip" || !json.Valid(plain(t, w)) {
		t.Errorf("%v", w.Header())
	}
	for _, header := range []string{"identity;q=0", "*;q=0", "br, *;q=0"} {
		ask{method: "GET", path: "/v1/config", header: encoded(header)}.wantError(t, h, 406, "UnsupportedOperationException")
		ask{method: "POST", path: "/v1/default/namespaces", body: `{"namespace":["b"]}`, header: encoded(header)}.wantError(t, h, 406, "UnsupportedOperationException")
	}
	ask{method: "GET", path: "/v1/default/namespaces/b"}.want(t, h, 404)
	ask{method: "GET", path: "/v1/config", as: "-", header: encoded("*;q=0")}.want(t, h, 401)
}

// gzipped compresses a request's body.
func gzipped(t testing.TB, body string) string {
	t.Helper()
	var out strings.Builder
	w := gzip.NewWriter(&out)
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestCompressedRequests(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1", func(o *nodeOptions) { o.MaxBodyBytes = 100_000 })
	const path = "/v1/default/namespaces"
	sent := func(encoding, body string) ask {
		return ask{method: "POST", path: path, body: body, header: http.Header{
			"Content-Encoding": {encoding}, "Idempotency-Key": {"0198f2e4-9f8e-7c3a-8e7b-5a3d2c1b0a99"},
		}}
	}
	const body = `{"namespace":["a"],"properties":{"k":"v"}}`
	sent("gzip", gzipped(t, body)).want(t, h, 200)
	// The same request, compressed or not, is one request.
	sent("identity", body).want(t, h, 200)
	sent("gzip", gzipped(t, `{"namespace":["b"]}`)).wantError(t, h, 422, "UnprocessableEntityException")
	ask{method: "GET", path: path + "/a"}.want(t, h, 200)

	for _, encoding := range []string{"br", "zstd", "deflate", "gzip, gzip", "gzip;q=1", "\xff"} {
		w := sent(encoding, body).want(t, h, 415)
		if got := w.Header().Get("Accept-Encoding"); got != "gzip, identity" {
			t.Errorf("%s: Accept-Encoding is %q", encoding, got)
		}
		errorOf(t, w)
	}
	for name, tc := range map[string]struct {
		body, want string
		status     int
	}{
		"not compressed": {body, "gzip", 400},
		"cut":            {gzipped(t, body)[:20], "ends before its gzip stream", 400},
		"more behind it": {gzipped(t, body) + "more", "gzip", 400},
		"empty":          {gzipped(t, ""), "it is empty", 400},
		"a bomb":         {gzipped(t, `{"namespace":["`+strings.Repeat("a", 10_000_000)+`"]}`), "at most 100000 bytes", 413},
	} {
		w := sent("gzip", tc.body).want(t, h, tc.status)
		if got := errorOf(t, w).Error.Message; !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q in it", name, got, tc.want)
		}
	}
}
