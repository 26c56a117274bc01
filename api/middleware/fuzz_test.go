package middleware_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/api/middleware"
)

// FuzzCredentials: what is presented is taken as it is, without space around it, or
// called malformed; nothing is made up.
func FuzzCredentials(f *testing.F) {
	for _, seed := range []struct{ bearer, key string }{
		{"Bearer x", ""}, {"bearer  x ", "y"}, {"Basic x", ""}, {"", "y"}, {"Bearer", ""}, {" ", " "}, {"Bearer a b", ""},
	} {
		f.Add(seed.bearer, seed.key, true, true)
	}
	f.Fuzz(func(t *testing.T, bearer, key string, withBearer, withKey bool) {
		h := http.Header{}
		if withBearer {
			h["Authorization"] = []string{bearer}
		}
		if withKey {
			h["X-Api-Key"] = []string{key}
		}
		c := middleware.Credentials(&http.Request{Header: h})
		if c.Doubtful || c.Malformed && c.Key != "" {
			t.Fatalf("%q, %q are %+v", bearer, key, c)
		}
		if c.Key != "" && !(withBearer && strings.HasSuffix(strings.TrimSpace(bearer), c.Key)) && !(withKey && strings.TrimSpace(key) == c.Key) {
			t.Fatalf("%q, %q are %+v", bearer, key, c)
		}
	})
}

// FuzzBodies: a body is read whole and within its limit, or refused for a reason
// that has a name.
func FuzzBodies(f *testing.F) {
	f.Add([]byte(`{"a":1}`), "", true)
	f.Add([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}, "gzip", false)
	f.Add(bytes.Repeat([]byte("x"), 5000), "identity", false)
	f.Add([]byte("x"), "br, gzip", true)
	bodies := middleware.NewBodies(4096, 1<<20)
	f.Fuzz(func(t *testing.T, data []byte, encoding string, announced bool) {
		r := httptest.NewRequest("POST", "/", bytes.NewReader(data))
		if !announced {
			r.ContentLength = -1
		}
		if encoding != "" {
			r.Header["Content-Encoding"] = []string{encoding}
		}
		body, release, err := bodies.Read(r)
		defer release()
		named := errors.Is(err, middleware.ErrBodyTooLarge) || errors.Is(err, middleware.ErrBodyCorrupt) || errors.Is(err, middleware.ErrBodyEncoded)
		if err == nil && len(body) > 4096 || err != nil && !named {
			t.Fatalf("%d bytes, %v", len(body), err)
		}
	})
}
