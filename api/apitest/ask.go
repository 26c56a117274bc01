package apitest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/authz"
)

// NoKey as Ask.As sends no key.
const NoKey = "-"

// Ask is a request.
type Ask struct {
	Method, Path string
	// As is whose key comes along: "" is the admin's.
	As     string
	Body   string
	Header http.Header
}

// Request is the request as a server gets it.
func (a Ask) Request() *http.Request {
	var body io.Reader
	if a.Body != "" {
		body = strings.NewReader(a.Body)
	}
	r := httptest.NewRequest(a.Method, a.Path, body)
	for name, values := range a.Header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	switch a.As {
	case NoKey:
	case "":
		r.Header.Set("Authorization", "Bearer "+KeyOf(authz.GroupAdmin))
	default:
		r.Header.Set("Authorization", "Bearer "+KeyOf(a.As))
	}
	return r
}

// Of gives a handler's answer.
func (a Ask) Of(h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, a.Request())
	return w
}

// Want asks and insists on a status.
func (a Ask) Want(t testing.TB, h http.Handler, status int) *httptest.ResponseRecorder {
	t.Helper()
	w := a.Of(h)
	if w.Code != status {
		t.Fatalf("%s %s: status %d, want %d: %s", a.Method, a.Path, w.Code, status, w.Body)
	}
	if w.Code >= 400 && a.Method != http.MethodHead {
		ErrorOf(t, w)
	}
	return w
}

// WantError asks and insists on a status and the type of an error.
func (a Ask) WantError(t testing.TB, h http.Handler, status int, errorType string) ErrorBody {
	t.Helper()
	body := ErrorOf(t, a.Want(t, h, status))
	if body.Error.Type != errorType {
		t.Fatalf("%s %s: %s (%s), want %s", a.Method, a.Path, body.Error.Type, body.Error.Message, errorType)
	}
	return body
}

// ErrorBody is the body of an error.
type ErrorBody struct {
	Error struct {
		Message, Type string
		Code          int
	}
}

// ErrorOf reads an error body and insists that it is one.
func ErrorOf(t testing.TB, w *httptest.ResponseRecorder) ErrorBody {
	t.Helper()
	var body ErrorBody
	dec := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		t.Fatalf("status %d: %q is no error body: %v", w.Code, w.Body, err)
	}
	if body.Error.Code != w.Code || body.Error.Type == "" || body.Error.Message == "" {
		t.Fatalf("status %d: %q is no complete error body", w.Code, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Fatalf("an error body of type %q", got)
	}
	return body
}

// Decode reads the body of an answer.
func Decode[T any](t testing.TB, w *httptest.ResponseRecorder) T {
	t.Helper()
	var out T
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%q: %v", w.Body, err)
	}
	return out
}
