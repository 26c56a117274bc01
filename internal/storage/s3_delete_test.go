package storage_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/storage"
)

// serveDelete is a server's side of a request that names many objects: each is
// deleted unless refuse has a code for it, or hide says that the answer forgets it.
func (f *fakeS3) serveDelete(w http.ResponseWriter, r *http.Request, refuse func(key string) string, hide bool) bool {
	var asked struct {
		Object []struct{ Key string }
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil || xml.Unmarshal(raw, &asked) != nil {
		http.Error(w, "malformed", http.StatusBadRequest)
		return true
	}
	type deleted struct{ Key string }
	type failed struct{ Key, Code, Message string }
	var answer struct {
		XMLName xml.Name `xml:"DeleteResult"`
		Deleted []deleted
		Error   []failed
	}
	f.mu.Lock()
	for _, o := range asked.Object {
		if code := refuse(o.Key); code != "" {
			answer.Error = append(answer.Error, failed{o.Key, code, "said so"})
			continue
		}
		delete(f.objects, o.Key)
		if !hide {
			answer.Deleted = append(answer.Deleted, deleted{o.Key})
		}
	}
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(answer)
	return true
}

func TestDeleteManyFaults(t *testing.T) {
	t.Parallel()
	isMany := func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("delete") }
	never := func(string) string { return "" }
	for name, tc := range map[string]struct {
		script func(f *fakeS3, n int, w http.ResponseWriter, r *http.Request) bool
		want   error
		left   string
		seen   string // methods
	}{
		"one request": {
			script: func(f *fakeS3, _ int, w http.ResponseWriter, r *http.Request) bool {
				return isMany(r) && f.serveDelete(w, r, never, false)
			},
			seen: "POST",
		},
		"a store that does not know the request": {
			script: func(_ *fakeS3, _ int, w http.ResponseWriter, r *http.Request) bool {
				return isMany(r) && refuse(w, http.StatusNotImplemented, "NotImplemented")
			},
			seen: "POST DELETE DELETE DELETE",
		},
		"an answer that forgets them": {
			script: func(f *fakeS3, _ int, w http.ResponseWriter, r *http.Request) bool {
				return isMany(r) && f.serveDelete(w, r, never, true)
			},
			seen: "POST DELETE DELETE DELETE",
		},
		"throttled twice": {
			script: func(f *fakeS3, n int, w http.ResponseWriter, r *http.Request) bool {
				if n <= 2 {
					return refuse(w, http.StatusServiceUnavailable, "SlowDown")
				}
				return isMany(r) && f.serveDelete(w, r, never, false)
			},
			seen: "POST POST POST",
		},
		"one of them throttled once": {
			script: func(f *fakeS3, _ int, w http.ResponseWriter, r *http.Request) bool {
				return isMany(r) && f.serveDelete(w, r, func(key string) string {
					if key == "b" {
						return "SlowDown"
					}
					return ""
				}, false)
			},
			seen: "POST DELETE",
		},
		"one of them denied": {
			script: func(f *fakeS3, _ int, w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodDelete {
					return refuse(w, http.StatusForbidden, "AccessDenied")
				}
				return isMany(r) && f.serveDelete(w, r, func(key string) string {
					if key == "b" {
						return "AccessDenied"
					}
					return ""
				}, false)
			},
			want: storage.ErrDenied, left: "b", seen: "POST DELETE",
		},
		"down": {
			script: func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool { return reset(w) },
			want:   storage.ErrUnavailable, left: "abc", seen: "POST POST POST POST POST",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeS3(t, tc.script)
			var locations []string
			for _, key := range []string{"a", "b", "c"} {
				f.set(key, "x")
				locations = append(locations, bucketRoot+"/"+key)
			}
			store := open(t, bucketRoot, f.config())
			if err := store.DeleteMany(context.Background(), locations); !errors.Is(err, tc.want) {
				t.Fatalf("DeleteMany: %v, want %v", err, tc.want)
			}
			left := ""
			for _, key := range []string{"a", "b", "c"} {
				if _, ok := f.object(key); ok {
					left += key
				}
			}
			var methods []string
			for _, s := range f.seen() {
				methods = append(methods, strings.Fields(s)[0])
			}
			if diff := cmp.Diff([]string{tc.left, tc.seen}, []string{left, strings.Join(methods, " ")}); diff != "" {
				t.Errorf("what is left, and the requests (-want +got):\n%s", diff)
			}
		})
	}
}

// A request names a thousand objects at most.
func TestDeleteManyChunks(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t, func(f *fakeS3, _ int, w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodPost && f.serveDelete(w, r, func(string) string { return "" }, false)
	})
	store := open(t, bucketRoot, f.config())
	var locations []string
	for i := range 2500 {
		locations = append(locations, fmt.Sprintf("%s/%d", bucketRoot, i))
	}
	if err := store.DeleteMany(context.Background(), locations); err != nil {
		t.Fatal(err)
	}
	if n := len(f.seen()); n != 3 {
		t.Errorf("2500 objects took %d requests, want 3", n)
	}
}
