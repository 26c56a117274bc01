package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/storage"
)

const (
	bucketRoot = "s3://bucket"
	place      = bucketRoot + "/x"
)

// The outcome of a Put whose first attempts go wrong.
func TestPutFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		script func(f *fakeS3, n int, w http.ResponseWriter, r *http.Request) bool
		want   error  // nil: it succeeded
		object string // what is there afterwards
		seen   string // the requests
	}{
		"500 twice": {
			script: func(_ *fakeS3, n int, w http.ResponseWriter, _ *http.Request) bool {
				return n <= 2 && refuse(w, 500, "InternalError")
			},
			object: "mine", seen: "PUT PUT PUT",
		},
		"503 without end": {
			script: func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool { return refuse(w, 503, "SlowDown") },
			want:   storage.ErrUnavailable, seen: "PUT PUT PUT PUT PUT",
		},
		"an answer that is not S3": {
			script: func(_ *fakeS3, n int, w http.ResponseWriter, _ *http.Request) bool {
				if n == 1 {
					http.Error(w, "<html>bad gateway</html>", http.StatusBadGateway)
				}
				return n == 1
			},
			object: "mine", seen: "PUT PUT",
		},
		"connection reset": {
			script: func(_ *fakeS3, n int, w http.ResponseWriter, _ *http.Request) bool { return n == 1 && reset(w) },
			object: "mine", seen: "PUT PUT",
		},
		"landed, then reset": {
			script: func(f *fakeS3, n int, w http.ResponseWriter, r *http.Request) bool {
				if n == 1 {
					f.land(r)
					return reset(w)
				}
				return false
			},
			object: "mine", seen: "PUT PUT GET",
		},
		"landed, then 500": {
			script: func(f *fakeS3, n int, w http.ResponseWriter, r *http.Request) bool {
				if n == 1 {
					f.land(r)
					return refuse(w, 500, "InternalError")
				}
				return false
			},
			object: "mine", seen: "PUT PUT GET",
		},
		"landed, and the proof fails once": {
			script: func(f *fakeS3, n int, w http.ResponseWriter, r *http.Request) bool {
				if n == 1 {
					f.land(r)
				}
				return (n == 1 || n == 3) && refuse(w, 500, "InternalError")
			},
			object: "mine", seen: "PUT PUT GET PUT GET",
		},
		"failed, and somebody else was faster": {
			script: func(f *fakeS3, n int, w http.ResponseWriter, _ *http.Request) bool {
				if n == 1 {
					f.set("x", "yours")
					return refuse(w, 500, "InternalError")
				}
				return false
			},
			want: storage.ErrExists, object: "yours", seen: "PUT PUT GET",
		},
		"failed, and somebody else wrote more": {
			script: func(f *fakeS3, n int, w http.ResponseWriter, _ *http.Request) bool {
				if n == 1 {
					f.set("x", "mine and yours")
					return refuse(w, 500, "InternalError")
				}
				return false
			},
			want: storage.ErrExists, object: "mine and yours", seen: "PUT PUT GET",
		},
		"somebody else was there first": {
			script: func(f *fakeS3, _ int, _ http.ResponseWriter, _ *http.Request) bool { f.set("x", "mine"); return false },
			want:   storage.ErrExists, object: "mine", seen: "PUT",
		},
		"a conditional write meets another": {
			script: func(_ *fakeS3, n int, w http.ResponseWriter, _ *http.Request) bool {
				return n == 1 && refuse(w, 409, "ConditionalRequestConflict")
			},
			object: "mine", seen: "PUT PUT",
		},
		"no conditional writes": {
			script: func(_ *fakeS3, _ int, w http.ResponseWriter, r *http.Request) bool {
				return r.Header.Get("If-None-Match") != "" && refuse(w, 501, "NotImplemented")
			},
			object: "mine", seen: "PUT HEAD PUT",
		},
		"no conditional writes, and somebody else's object": {
			script: func(f *fakeS3, _ int, w http.ResponseWriter, r *http.Request) bool {
				f.set("x", "yours")
				return r.Header.Get("If-None-Match") != "" && refuse(w, 501, "NotImplemented")
			},
			want: storage.ErrExists, object: "yours", seen: "PUT HEAD GET",
		},
		"denied": {
			script: func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool {
				return refuse(w, 403, "AccessDenied")
			},
			want: storage.ErrDenied, seen: "PUT",
		},
		"no bucket": {
			script: func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool {
				return refuse(w, 404, "NoSuchBucket")
			},
			want: storage.ErrDenied, seen: "PUT",
		},
		"other region": {
			script: func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool {
				return refuse(w, 301, "PermanentRedirect")
			},
			want: storage.ErrDenied, seen: "PUT",
		},
		"key too long": {
			script: func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool {
				return refuse(w, 400, "KeyTooLongError")
			},
			want: storage.ErrInvalidLocation, seen: "PUT",
		},
		"object too large": {
			script: func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool {
				return refuse(w, 400, "EntityTooLarge")
			},
			want: storage.ErrTooLarge, seen: "PUT",
		},
		"expired token": {
			script: func(_ *fakeS3, n int, w http.ResponseWriter, _ *http.Request) bool {
				return n == 1 && refuse(w, 400, "ExpiredToken")
			},
			object: "mine", seen: "PUT PUT",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeS3(t, tc.script)
			store := open(t, bucketRoot, fake.config())
			err := store.Put(context.Background(), place, []byte("mine"))
			if !errors.Is(err, tc.want) {
				t.Errorf("Put: %v, want %v", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells a secret: %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), place) {
				t.Errorf("the error does not name the place: %v", err)
			}
			if object, _ := fake.object("x"); object != tc.object {
				t.Errorf("the object is %q, want %q", object, tc.object)
			}
			if seen := strings.ReplaceAll(strings.Join(fake.seen(), " "), " x", ""); seen != tc.seen {
				t.Errorf("requests %q, want %q", seen, tc.seen)
			}
		})
	}
}

// A Put whose answer never comes is not known to have failed: the object may
// well be there, and the error says "unavailable" and not "no".
func TestPutLandsButTimesOut(t *testing.T) {
	t.Parallel()
	fake := newFakeS3(t, func(f *fakeS3, n int, _ http.ResponseWriter, r *http.Request) bool {
		if n == 1 {
			f.land(r)
		}
		return f.hang(r)
	})
	cfg := fake.config()
	cfg.Timeouts.Attempt, cfg.Timeouts.Attempts = time.Second, 2
	err := open(t, bucketRoot, cfg).Put(context.Background(), place, []byte("mine"))
	if !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put: %v, want ErrUnavailable and context.DeadlineExceeded", err)
	}
	if object, _ := fake.object("x"); object != "mine" {
		t.Errorf("the object is %q", object)
	}
}

func TestTimedOutPutIsRetried(t *testing.T) {
	t.Parallel()
	fake := newFakeS3(t, func(f *fakeS3, n int, _ http.ResponseWriter, r *http.Request) bool {
		if n == 1 {
			f.land(r)
			return f.hang(r)
		}
		return false
	})
	cfg := fake.config()
	cfg.Timeouts.Attempt = 2 * time.Second
	if err := open(t, bucketRoot, cfg).Put(context.Background(), place, []byte("mine")); err != nil {
		t.Errorf("Put: %v", err)
	}
}

func TestGetFaults(t *testing.T) {
	t.Parallel()
	const body = "the whole body"
	short := func(w http.ResponseWriter) bool {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		describeObject(w)
		_, _ = w.Write([]byte(body[:5]))
		w.(http.Flusher).Flush()
		return reset(w)
	}
	for name, tc := range map[string]struct {
		script func(f *fakeS3, n int, w http.ResponseWriter, r *http.Request) bool
		want   error
		seen   int
	}{
		"fine": {seen: 1},
		"500 once": {
			script: func(_ *fakeS3, n int, w http.ResponseWriter, _ *http.Request) bool {
				return n == 1 && refuse(w, 500, "InternalError")
			},
			seen: 2,
		},
		"cut short twice": {
			script: func(_ *fakeS3, n int, w http.ResponseWriter, _ *http.Request) bool { return n <= 2 && short(w) },
			seen:   3,
		},
		"cut short always": {
			script: func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool { return short(w) },
			want:   storage.ErrUnavailable, seen: 5,
		},
		"throttled always": {
			script: func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			},
			want: storage.ErrUnavailable, seen: 5,
		},
		"denied": {
			script: func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool {
				return refuse(w, 403, "InvalidAccessKeyId")
			},
			want: storage.ErrDenied, seen: 1,
		},
		"a missing bucket is not a missing object": {
			script: func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool {
				return refuse(w, 404, "NoSuchBucket")
			},
			want: storage.ErrDenied, seen: 1,
		},
		"gone": {
			script: func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool {
				return refuse(w, 404, "NoSuchKey")
			},
			want: storage.ErrNotFound, seen: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeS3(t, tc.script)
			fake.set("x", body)
			got, err := open(t, bucketRoot, fake.config()).Get(context.Background(), place, 100)
			if !errors.Is(err, tc.want) || tc.want == nil && string(got) != body || tc.want != nil && got != nil {
				t.Errorf("Get = %q, %v, want %v", got, err, tc.want)
			}
			if seen := fake.seen(); len(seen) != tc.seen {
				t.Errorf("requests %q, want %d", seen, tc.seen)
			}
		})
	}
}

// describeObject sets the headers that S3 sends with every object.
func describeObject(w http.ResponseWriter) {
	w.Header().Set("ETag", `"e"`)
	w.Header().Set("Last-Modified", time.Unix(1, 0).UTC().Format(http.TimeFormat))
}

// trickle sends a body in pieces, each after a pause.
func trickle(w http.ResponseWriter, body []byte, pieces int, pause time.Duration, done <-chan struct{}) bool {
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	describeObject(w)
	for i := range pieces {
		select {
		case <-time.After(pause):
		case <-done:
			return true
		}
		if _, err := w.Write(body[i*len(body)/pieces : (i+1)*len(body)/pieces]); err != nil {
			return true
		}
		w.(http.Flusher).Flush()
	}
	return true
}

// A large object may take longer than an attempt; one that crawls may not.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	body := bytes.Repeat([]byte("x"), 64<<10)
	for name, tc := range map[string]struct {
		throughput int64
		want       error
	}{
		"slow but in time": {throughput: 8 << 10, want: nil}, // 8 s more are allowed
		"too slow":         {throughput: 1 << 30, want: storage.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeS3(t, func(f *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool {
				return trickle(w, body, 8, 200*time.Millisecond, f.released)
			})
			cfg := fake.config()
			cfg.Timeouts.Attempt, cfg.Timeouts.Attempts = time.Second, 2
			cfg.Timeouts.Throughput = tc.throughput
			got, err := open(t, bucketRoot, cfg).Get(context.Background(), place, 1<<20)
			if !errors.Is(err, tc.want) || tc.want == nil && !bytes.Equal(got, body) {
				t.Errorf("Get = %d bytes, %v, want %v", len(got), err, tc.want)
			}
		})
	}
}

// A body that is larger than announced, or not announced at all, is bounded too.
func TestUnannouncedBodyIsBounded(t *testing.T) {
	t.Parallel()
	fake := newFakeS3(t, func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool {
		describeObject(w)
		for range 100 {
			if _, err := w.Write(make([]byte, 1000)); err != nil {
				break
			}
			w.(http.Flusher).Flush()
		}
		return true
	})
	store := open(t, bucketRoot, fake.config())
	if _, err := store.Get(context.Background(), place, 5000); !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("Get: %v, want ErrTooLarge", err)
	}
	if body, err := store.Get(context.Background(), place, 100_000); err != nil || len(body) != 100_000 {
		t.Errorf("Get = %d bytes, %v", len(body), err)
	}
}

// What goes over the wire must suit stores that know neither chunked signatures
// nor the newer checksum headers.
func TestPutSpeaksPlainS3(t *testing.T) {
	t.Parallel()
	fake := newFakeS3(t, nil)
	mustPut(t, open(t, bucketRoot, fake.config()), place, []byte("mine"))
	r := fake.requests[0]
	for header, want := range map[string]string{
		"Content-Md5":          "kYuB216R0DFUi5Y8k4ReWw==",
		"X-Amz-Content-Sha256": "3fd30542fe3f61b14bd4a4b2dc0b6fb30fa6f63ebce52dd1778aaa8c4dc02cff",
		"If-None-Match":        "*",
		"Content-Encoding":     "",
	} {
		if got := r.Header.Get(header); got != want {
			t.Errorf("%s is %q, want %q", header, got, want)
		}
	}
	if r.ContentLength != 4 || len(r.TransferEncoding) != 0 {
		t.Errorf("Content-Length %d, Transfer-Encoding %v", r.ContentLength, r.TransferEncoding)
	}
	for header := range r.Header {
		if strings.HasPrefix(strings.ToLower(header), "x-amz-checksum") || strings.EqualFold(header, "X-Amz-Trailer") {
			t.Errorf("it sends %s", header)
		}
	}
	if !strings.Contains(r.Header.Get("Authorization"), "/us-east-1/s3/") {
		t.Errorf("signed for another region: %s", r.Header.Get("Authorization"))
	}
}

func TestDeleteAndExistsFaults(t *testing.T) {
	t.Parallel()
	fake := newFakeS3(t, func(_ *fakeS3, n int, w http.ResponseWriter, _ *http.Request) bool {
		return n%2 == 1 && refuse(w, 503, "SlowDown")
	})
	fake.set("x", "body")
	store := open(t, bucketRoot, fake.config())
	if found, err := store.Exists(context.Background(), place); err != nil || !found {
		t.Errorf("Exists = %v, %v", found, err)
	}
	if err := store.Delete(context.Background(), place); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if found, err := store.Exists(context.Background(), place); err != nil || found {
		t.Errorf("Exists after Delete = %v, %v", found, err)
	}
	if err := store.EnsureFolder(context.Background(), bucketRoot+"/t/metadata"); err != nil {
		t.Errorf("EnsureFolder: %v", err)
	}
	if len(fake.objects) != 0 {
		t.Errorf("EnsureFolder left %v in a store without folders", fake.objects)
	}
}

func TestListFaults(t *testing.T) {
	t.Parallel()
	fake := newFakeS3(t, func(_ *fakeS3, n int, w http.ResponseWriter, _ *http.Request) bool {
		return n%2 == 0 && refuse(w, 503, "SlowDown")
	})
	var want []string
	for i := range 2500 {
		key := fmt.Sprintf("t/data/%04d", i)
		fake.set(key, "x")
		want = append(want, bucketRoot+"/"+key)
	}
	fake.set("t/", "a folder's marker")
	fake.set("t2/x", "a neighbour")
	store := open(t, bucketRoot, fake.config())
	if diff := cmp.Diff(want, list(t, store, bucketRoot+"/t")); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	if seen := fake.seen(); len(seen) != 5 {
		t.Errorf("%d requests, want three pages and two repeats", len(seen))
	}
}

func TestListEndsWithTheError(t *testing.T) {
	t.Parallel()
	fake := newFakeS3(t, func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool {
		return refuse(w, 403, "AccessDenied")
	})
	var errs []error
	for _, err := range open(t, bucketRoot, fake.config()).List(context.Background(), bucketRoot) {
		errs = append(errs, err)
	}
	if len(errs) != 1 || !errors.Is(errs[0], storage.ErrDenied) {
		t.Errorf("List yields %v, want ErrDenied once", errs)
	}
}
