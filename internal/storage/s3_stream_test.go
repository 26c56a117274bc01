package storage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/storage"
)

// step tells which of an upload's requests this is.
func step(r *http.Request) string {
	query := r.URL.Query()
	switch {
	case query.Has("uploads"):
		return "begin"
	case query.Has("partNumber"):
		return "part " + query.Get("partNumber")
	case query.Has("uploadId") && r.Method == http.MethodPost:
		return "complete"
	case query.Has("uploadId"):
		return "abort"
	}
	return r.Method
}

// The outcome of an upload in parts some of whose requests go wrong.
func TestUploadFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		// fault is what happens to the n-th request of a kind.
		fault func(f *fakeS3, kind string, n int, w http.ResponseWriter, r *http.Request) bool
		want  error  // nil: it succeeded
		seen  string // the requests
		there bool   // whether there is an object afterwards, though it failed
	}{
		"nothing": {seen: "begin, part 1, part 2, part 3, complete"},
		"500 at each first time": {
			fault: func(_ *fakeS3, _ string, n int, w http.ResponseWriter, _ *http.Request) bool {
				return n == 1 && refuse(w, 500, "InternalError")
			},
			seen: "begin, begin, part 1, part 1, part 2, part 2, part 3, part 3, complete, complete",
		},
		"a part that breaks": {
			fault: func(_ *fakeS3, kind string, n int, w http.ResponseWriter, _ *http.Request) bool {
				return kind == "part 2" && n <= 2 && reset(w)
			},
			seen: "begin, part 1, part 2, part 2, part 2, part 3, complete",
		},
		"a part that never goes": {
			fault: func(_ *fakeS3, kind string, _ int, w http.ResponseWriter, _ *http.Request) bool {
				return kind == "part 2" && refuse(w, 503, "SlowDown")
			},
			want: storage.ErrUnavailable, seen: "begin, part 1, part 2, part 2, part 2, part 2, part 2, abort",
		},
		"no right to write": {
			fault: func(_ *fakeS3, kind string, _ int, w http.ResponseWriter, _ *http.Request) bool {
				return kind == "begin" && refuse(w, 403, "AccessDenied")
			},
			want: storage.ErrDenied, seen: "begin",
		},
		"no bucket": {
			fault: func(_ *fakeS3, kind string, _ int, w http.ResponseWriter, _ *http.Request) bool {
				return kind == "begin" && refuse(w, 404, "NoSuchBucket")
			},
			want: storage.ErrDenied, seen: "begin",
		},
		"aborted by somebody": {
			fault: func(f *fakeS3, kind string, _ int, w http.ResponseWriter, _ *http.Request) bool {
				return kind == "part 3" && refuse(w, 404, "NoSuchUpload")
			},
			want: storage.ErrUnavailable, seen: "begin, part 1, part 2, part 3, abort",
		},
		"completed, and nobody told": {
			fault: func(f *fakeS3, kind string, n int, w http.ResponseWriter, r *http.Request) bool {
				if kind == "complete" && n == 1 {
					f.land(r)
					return reset(w)
				}
				return false
			},
			want: storage.ErrUnavailable, seen: "begin, part 1, part 2, part 3, complete, complete, abort", there: true,
		},
		"somebody else was faster": {
			fault: func(f *fakeS3, kind string, _ int, _ http.ResponseWriter, _ *http.Request) bool {
				if kind == "complete" {
					f.set("x", "yours")
				}
				return false
			},
			want: storage.ErrExists, seen: "begin, part 1, part 2, part 3, complete, abort", there: true,
		},
		"no conditional writes": {
			fault: func(_ *fakeS3, kind string, _ int, w http.ResponseWriter, r *http.Request) bool {
				return kind == "complete" && r.Header.Get("If-None-Match") != "" && refuse(w, 501, "NotImplemented")
			},
			seen: "begin, part 1, part 2, part 3, complete, HEAD, complete",
		},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: each holds its body a few times
			counts := map[string]int{}
			var seen []string
			f := newFakeS3(t, func(f *fakeS3, _ int, w http.ResponseWriter, r *http.Request) bool {
				kind := step(r)
				f.mu.Lock()
				counts[kind]++
				n := counts[kind]
				seen = append(seen, kind)
				f.mu.Unlock()
				return tc.fault != nil && tc.fault(f, kind, n, w, r)
			})
			store := open(t, bucketRoot, f.config())
			body := noise(12 << 20)
			_, err := store.Upload(t.Context(), place, bytes.NewReader(body))
			if !errors.Is(err, tc.want) {
				t.Fatalf("Upload: %v, want %v", err, tc.want)
			}
			if diff := cmp.Diff(tc.seen, strings.Join(seen, ", ")); diff != "" {
				t.Errorf("requests (-want +got)\n%s", diff)
			}
			got, there := f.object("x")
			if there != (tc.want == nil || tc.there) || tc.want == nil && got != string(body) {
				t.Errorf("there is an object: %v, of %d bytes", there, len(got))
			}
			// An attempt to begin that was answered wrongly may have begun.
			if tc.fault == nil && f.unfinished() != 0 {
				t.Errorf("%d uploads are unfinished", f.unfinished())
			}
		})
	}
}

// A part that is stuck is given up in time, and sent again.
func TestUploadIsNotHeldUp(t *testing.T) {
	t.Parallel()
	var stuck atomic.Bool
	f := newFakeS3(t, func(f *fakeS3, _ int, _ http.ResponseWriter, r *http.Request) bool {
		return step(r) == "part 2" && stuck.CompareAndSwap(false, true) && f.hang(r)
	})
	cfg := f.config()
	cfg.Timeouts.Attempt, cfg.Timeouts.Throughput = 3*time.Second, 1<<30
	store := open(t, bucketRoot, cfg)
	if _, err := store.Upload(t.Context(), place, bytes.NewReader(noise(10<<20))); err != nil {
		t.Fatal(err)
	}
	if got, _ := f.object("x"); got != string(noise(10<<20)) {
		t.Errorf("the object has %d bytes", len(got))
	}
}

// A transfer that breaks is taken up again where it broke.
func TestDownloadFaults(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(w http.ResponseWriter) bool{
		"reset": reset,
		"500":   func(w http.ResponseWriter) bool { return refuse(w, 500, "InternalError") },
		"cut short": func(w http.ResponseWriter) bool {
			describeObject(w)
			w.Header().Set("Content-Range", "bytes 4194304-8388607/9437184")
			w.Header().Set("Content-Length", "4194304")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(make([]byte, 1000))
			return reset(w)
		},
		"another range": func(w http.ResponseWriter) bool {
			describeObject(w)
			w.Header().Set("Content-Range", "bytes 0-9/9437184")
			w.Header().Set("Content-Length", "10")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(make([]byte, 10))
			return true
		},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: each holds its body a few times
			f := newFakeS3(t, func(_ *fakeS3, n int, w http.ResponseWriter, r *http.Request) bool {
				return n == 2 && r.Method == http.MethodGet && fault(w)
			})
			body := noise(9 << 20)
			f.set("x", string(body))
			got, err := download(t.Context(), open(t, bucketRoot, f.config()), place)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	t.Run("without ranges", func(t *testing.T) {
		f := newFakeS3(t, func(_ *fakeS3, _ int, _ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("Range")
			return false
		})
		f.set("x", "small")
		store := open(t, bucketRoot, f.config())
		if got, err := download(t.Context(), store, place); err != nil || string(got) != "small" {
			t.Errorf("%q, %v", got, err)
		}
		f.set("x", string(noise(5<<20)))
		if _, err := download(t.Context(), store, place); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("more than a block: %v", err)
		}
	})
	t.Run("given up", func(t *testing.T) {
		f := newFakeS3(t, nil)
		f.set("x", string(noise(9<<20)))
		ctx, cancel := context.WithCancel(t.Context())
		r, size, err := open(t, bucketRoot, f.config()).Download(ctx, place)
		if err != nil || size != 9<<20 {
			t.Fatal(size, err)
		}
		cancel()
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
			t.Errorf("read: %v", err)
		}
	})
}
