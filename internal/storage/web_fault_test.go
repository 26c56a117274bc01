package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/test/azurite"
	"github.com/floeberg/floeberg/test/gcsserver"
)

// weather stands between a store and its server and makes some of it bad.
type weather struct {
	next http.RoundTripper

	// script says what becomes of the n-th request, counted from 1: it answers by
	// itself, or returns nothing to let it pass.
	script func(n int, r *http.Request, pass func() *http.Response) (*http.Response, error)

	mu   sync.Mutex
	seen []string // methods
}

func (w *weather) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.seen = append(w.seen, r.Method)
	n := len(w.seen)
	w.mu.Unlock()
	if w.script != nil {
		response, err := w.script(n, r, func() *http.Response {
			response, err := w.next.RoundTrip(r)
			if err != nil {
				panic(err)
			}
			return response
		})
		if response != nil || err != nil {
			return response, err
		}
	}
	return w.next.RoundTrip(r)
}

func (w *weather) requests() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.seen, " ")
}

// answer makes an answer that no server gave.
func answer(r *http.Request, status int, body string) (*http.Response, error) {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}, nil
}

// landed lets a request through and loses its answer.
func landed(pass func() *http.Response) error {
	_ = pass().Body.Close()
	return syscall.ECONNRESET
}

// webStores starts both servers and gives a maker of roots in them and of the
// configuration that reaches them through a script.
func webStores(t *testing.T) map[string]func(t *testing.T, w *weather) (root string, cfg storage.Config) {
	t.Helper()
	impatient := storage.Timeouts{Attempt: 10 * time.Second, BackoffBase: time.Millisecond, BackoffMax: 4 * time.Millisecond}
	google, azure := gcsserver.Start(t, "bucket"), azurite.Start(t, "container")
	own := func(t *testing.T, w *weather) string {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.DisableCompression = true
		t.Cleanup(transport.CloseIdleConnections)
		w.next = transport
		return strings.NewReplacer("/", "_", " ", "_").Replace(t.Name())
	}
	return map[string]func(t *testing.T, w *weather) (string, storage.Config){
		"gs": func(t *testing.T, w *weather) (string, storage.Config) {
			name := own(t, w)
			return "gs://bucket/" + name, storage.Config{Timeouts: impatient, GCS: storage.GCSConfig{Endpoint: google.Endpoint, NoAuth: true, Transport: w}}
		},
		"abfss": func(t *testing.T, w *weather) (string, storage.Config) {
			name := own(t, w)
			return azure.Location("container") + "/" + name, storage.Config{Timeouts: impatient, Azure: storage.AzureConfig{
				Endpoint: azure.Endpoint, AccountKey: azure.AccountKey, Transport: w,
			}}
		},
	}
}

func TestWebFaults(t *testing.T) {
	t.Parallel()
	stores := webStores(t)
	mine := []byte("mine")
	put := func(store storage.Store, location string) error {
		return store.Put(context.Background(), location, mine)
	}
	for name, tc := range map[string]struct {
		script func(n int, r *http.Request, pass func() *http.Response) (*http.Response, error)
		before []string // objects that are there
		do     func(store storage.Store, location string) error
		want   error
		object string // what is there afterwards
		seen   string
	}{
		"500 twice": {
			script: func(n int, r *http.Request, _ func() *http.Response) (*http.Response, error) {
				if n <= 2 {
					return answer(r, 500, "<html>")
				}
				return nil, nil
			},
			do: put, object: "mine", seen: "W W W",
		},
		"503 without end": {
			script: func(_ int, r *http.Request, _ func() *http.Response) (*http.Response, error) {
				return answer(r, 503, "")
			},
			do: put, want: storage.ErrUnavailable, seen: "W W W W W",
		},
		"connection reset": {
			script: func(n int, _ *http.Request, _ func() *http.Response) (*http.Response, error) {
				if n == 1 {
					return nil, syscall.ECONNRESET
				}
				return nil, nil
			},
			do: put, object: "mine", seen: "W W",
		},
		"landed, then reset": {
			script: func(n int, _ *http.Request, pass func() *http.Response) (*http.Response, error) {
				if n == 1 {
					return nil, landed(pass)
				}
				return nil, nil
			},
			do: put, object: "mine", seen: "W W GET",
		},
		"landed, then 500 and a proof that fails once": {
			script: func(n int, r *http.Request, pass func() *http.Response) (*http.Response, error) {
				if n == 1 {
					_ = landed(pass)
				}
				if n == 1 || n == 3 {
					return answer(r, 500, "")
				}
				return nil, nil
			},
			do: put, object: "mine", seen: "W W GET W GET",
		},
		"somebody else was there first": {
			before: []string{"yours"},
			do:     put, want: storage.ErrExists, object: "yours", seen: "W",
		},
		"failed, and somebody else was faster": {
			before: []string{"yours"},
			script: func(n int, r *http.Request, _ func() *http.Response) (*http.Response, error) {
				if n == 1 {
					return answer(r, 503, "")
				}
				return nil, nil
			},
			do: put, want: storage.ErrExists, object: "yours", seen: "W W GET",
		},
		"denied": {
			script: func(_ int, r *http.Request, _ func() *http.Response) (*http.Response, error) {
				return answer(r, 403, "")
			},
			do: put, want: storage.ErrDenied, seen: "W",
		},
		"a redirect": {
			script: func(_ int, r *http.Request, _ func() *http.Response) (*http.Response, error) {
				response, err := answer(r, 301, "")
				response.Header.Set("Location", "http://127.0.0.1:1/elsewhere")
				return response, err
			},
			do: put, want: storage.ErrDenied, seen: "W",
		},
		"an object that is cut short twice": {
			before: []string{"the whole body"},
			script: func(n int, _ *http.Request, pass func() *http.Response) (*http.Response, error) {
				if n > 2 {
					return nil, nil
				}
				response := pass()
				response.Body = io.NopCloser(io.MultiReader(io.LimitReader(response.Body, 3), failing{}))
				return response, nil
			},
			do: func(store storage.Store, location string) error {
				body, err := store.Get(context.Background(), location, 100)
				if err == nil && string(body) != "the whole body" {
					err = fmt.Errorf("got %q", body)
				}
				return err
			},
			object: "the whole body", seen: "GET GET GET",
		},
		"a delete whose answer is lost": {
			before: []string{"x"},
			script: func(n int, _ *http.Request, pass func() *http.Response) (*http.Response, error) {
				if n == 1 {
					return nil, landed(pass)
				}
				return nil, nil
			},
			do:   func(store storage.Store, location string) error { return store.Delete(context.Background(), location) },
			seen: "DELETE DELETE",
		},
		"a store that does not know how to delete many": {
			before: []string{"x"},
			script: func(_ int, r *http.Request, _ func() *http.Response) (*http.Response, error) {
				if r.Method == http.MethodPost {
					return answer(r, 501, "")
				}
				return nil, nil
			},
			do: func(store storage.Store, location string) error {
				return store.DeleteMany(context.Background(), []string{location, location + "2"})
			},
			seen: "POST DELETE DELETE",
		},
		"an answer to a delete of many that is cut short": {
			before: []string{"x"},
			script: func(n int, _ *http.Request, pass func() *http.Response) (*http.Response, error) {
				if n > 1 {
					return nil, nil
				}
				response := pass()
				response.Body = io.NopCloser(io.LimitReader(response.Body, 10))
				return response, nil
			},
			do: func(store storage.Store, location string) error {
				return store.DeleteMany(context.Background(), []string{location, location + "2"})
			},
			seen: "POST DELETE DELETE",
		},
		"many are deleted by one request": {
			before: []string{"x"},
			do: func(store storage.Store, location string) error {
				return store.DeleteMany(context.Background(), []string{location, location + "2"})
			},
			seen: "POST",
		},
	} {
		for kind, make := range stores {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := &weather{}
				root, cfg := make(t, w)
				store := open(t, root, cfg)
				location := root + "/x"
				for _, body := range tc.before {
					mustPut(t, store, location, []byte(body))
				}
				w.seen, w.script = nil, tc.script
				err := tc.do(store, location)
				if !errors.Is(err, tc.want) {
					t.Errorf("it ended with %v, want %v", err, tc.want)
				}
				if err != nil && !strings.Contains(err.Error(), location) || err != nil && strings.Contains(err.Error(), "\n") {
					t.Errorf("the error does not name the place, or is more than a line: %v", err)
				}
				writes := map[string]string{"gs": http.MethodPost, "abfss": http.MethodPut}
				if diff := cmp.Diff(strings.ReplaceAll(tc.seen, "W", writes[kind]), w.requests()); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
				w.script = nil
				body, err := store.Get(context.Background(), location, 100)
				if tc.object == "" && !errors.Is(err, storage.ErrNotFound) || tc.object != "" && string(body) != tc.object {
					t.Errorf("the object is %q, %v, want %q", body, err, tc.object)
				}
			})
		}
	}
}

// failing is a body whose connection breaks.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A store whose answer never comes is given up on, and the object may be there.
func TestWebPutTimesOut(t *testing.T) {
	t.Parallel()
	for kind, make := range webStores(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := &weather{script: func(_ int, r *http.Request, _ func() *http.Response) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}}
			root, cfg := make(t, w)
			cfg.Timeouts.Attempt, cfg.Timeouts.Attempts = 30*time.Millisecond, 2
			err := open(t, root, cfg).Put(context.Background(), root+"/x", []byte("mine"))
			if !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Put: %v, want ErrUnavailable and context.DeadlineExceeded", err)
			}
		})
	}
}

// A bucket that does not exist is no missing object, whatever is asked.
func TestWebMissingBucket(t *testing.T) {
	t.Parallel()
	for kind, make := range webStores(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			root, cfg := make(t, &weather{})
			root = strings.NewReplacer("gs://bucket", "gs://no-bucket", "abfss://container", "abfss://no-container").Replace(root)
			store := open(t, root, cfg)
			if err := store.Put(context.Background(), root+"/x", []byte("x")); !errors.Is(err, storage.ErrDenied) {
				t.Errorf("Put: %v, want ErrDenied", err)
			}
			for _, err := range store.List(context.Background(), root) {
				if !errors.Is(err, storage.ErrDenied) {
					t.Errorf("List: %v, want ErrDenied", err)
				}
			}
		})
	}
}

// Listings come in pages, each repeated where it fails; folders are left out.
func TestWebPages(t *testing.T) {
	t.Parallel()
	const container = "abfss://box@acme.dfs.core.windows.net"
	for kind, tc := range map[string]struct {
		root  string
		cfg   storage.Config
		param string
		pages []string
	}{
		"gs": {
			root: "gs://bucket/wh", param: "pageToken", cfg: storage.Config{GCS: storage.GCSConfig{Endpoint: "http://host", NoAuth: true}},
			pages: []string{
				`{"items":[{"name":"wh/a","size":"7","updated":"2026-01-02T03:04:05.678Z"},{"name":"wh/folder/","size":"0","updated":"2026-01-02T03:04:05Z"}],"nextPageToken":"more"}`,
				`{"nextPageToken":"last"}`,
				`{"items":[{"name":"wh/b c","size":"7","updated":"2026-01-02T03:04:05Z"}]}`,
			},
		},
		"abfss": {
			root: container + "/wh", param: "marker", cfg: storage.Config{Azure: storage.AzureConfig{AccountKey: "a2V5"}},
			pages: []string{
				"\ufeff" + `<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>` +
					`<Blob><Name>wh/a</Name><Properties><Last-Modified>Fri, 02 Jan 2026 03:04:05 GMT</Last-Modified><Content-Length>7</Content-Length></Properties></Blob>` +
					`<Blob><Name>wh/folder</Name><Properties><ResourceType>directory</ResourceType></Properties></Blob>` +
					`<Blob><Name>wh/stub</Name><Properties/><Metadata><hdi_isfolder>true</hdi_isfolder></Metadata></Blob>` +
					`</Blobs><NextMarker>more</NextMarker></EnumerationResults>`,
				`<EnumerationResults><Blobs/><NextMarker>last</NextMarker></EnumerationResults>`,
				`<EnumerationResults><Blobs><Blob><Name Encoded="true">wh%2Fb%20c</Name><Properties><Last-Modified>Fri, 02 Jan 2026 03:04:05 GMT</Last-Modified><Content-Length>7</Content-Length></Properties></Blob></Blobs><NextMarker/></EnumerationResults>`,
			},
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			asked := ""
			w := &weather{script: func(n int, r *http.Request, _ func() *http.Response) (*http.Response, error) {
				if n%2 == 0 {
					return answer(r, 503, "")
				}
				if got := r.URL.Query().Get("prefix"); got != "wh/" {
					t.Errorf("it asks for the prefix %q", got)
				}
				asked += r.URL.Query().Get(tc.param) + " "
				return answer(r, 200, tc.pages[n/2])
			}}
			tc.cfg.GCS.Transport, tc.cfg.Azure.Transport = w, w
			tc.cfg.Timeouts = storage.Timeouts{BackoffBase: time.Millisecond}
			want := []string{tc.root + "/a", tc.root + "/b c"}
			if diff := cmp.Diff(want, list(t, open(t, tc.root, tc.cfg), tc.root)); diff != "" {
				t.Errorf("List (-want +got):\n%s", diff)
			}
			if asked != " more last " {
				t.Errorf("the pages asked for are %q", asked)
			}
		})
	}
}

// Folders of hierarchical namespaces look like objects and are none.
func TestAzureFolders(t *testing.T) {
	t.Parallel()
	const root = "abfss://box@acme.dfs.core.windows.net/wh"
	for name, value := range map[string]string{"X-Ms-Resource-Type": "directory", "X-Ms-Meta-Hdi_isfolder": "true"} {
		w := &weather{script: func(_ int, r *http.Request, _ func() *http.Response) (*http.Response, error) {
			if r.URL.Host != "acme.blob.core.windows.net" || r.URL.Scheme != "https" {
				t.Errorf("it asks %s", r.URL)
			}
			response, err := answer(r, 200, "")
			response.Header.Set(name, value)
			if r.Method == http.MethodDelete {
				response.StatusCode = http.StatusConflict
				response.Header.Set("X-Ms-Error-Code", "DirectoryIsNotEmpty")
			}
			return response, err
		}}
		store := open(t, root, storage.Config{Azure: storage.AzureConfig{AccountKey: "a2V5", Transport: w}})
		if found, err := store.Exists(context.Background(), root+"/t"); err != nil || found {
			t.Errorf("Exists = %v, %v", found, err)
		}
		if _, err := store.Get(context.Background(), root+"/t", 10); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Get: %v, want ErrNotFound", err)
		}
		if err := store.Delete(context.Background(), root+"/t"); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
}

// What a store says of itself reaches the operator, on one line.
func TestWebErrorsExplain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		root   string
		status int
		body   string
		code   string
		want   error
		says   string
	}{
		"gs denied":         {"gs://bucket", 403, `{"error":{"code":403,"message":"no access to it","errors":[{"reason":"forbidden"}]}}`, "", storage.ErrDenied, "403 forbidden: no access to it"},
		"gs too fast":       {"gs://bucket", 403, `{"error":{"message":"slow down","errors":[{"reason":"rateLimitExceeded"}]}}`, "", storage.ErrUnavailable, "slow down"},
		"gs no bucket":      {"gs://bucket", 404, `{"error":{"message":"The specified bucket does not exist."}}`, "", storage.ErrDenied, "does not exist"},
		"abfss denied":      {"abfss://box@acme.dfs.core.windows.net", 403, "<Error><Code>AuthorizationFailure</Code><Message>no access\nRequestId:1</Message></Error>", "", storage.ErrDenied, "403 AuthorizationFailure: no access"},
		"abfss no box":      {"abfss://box@acme.dfs.core.windows.net", 404, "", "ContainerNotFound", storage.ErrDenied, "does not exist"},
		"abfss create only": {"abfss://box@acme.dfs.core.windows.net", 403, "", "UnauthorizedBlobOverwrite", storage.ErrExists, ""},
		"abfss busy":        {"abfss://box@acme.dfs.core.windows.net", 503, "", "ServerBusy", storage.ErrUnavailable, "503 ServerBusy"},
		"abfss damaged":     {"abfss://box@acme.dfs.core.windows.net", 400, "", "Md5Mismatch", storage.ErrUnavailable, "Md5Mismatch"},
		"abfss folder":      {"abfss://box@acme.dfs.core.windows.net", 409, "", "ResourceTypeMismatch", storage.ErrDenied, "a folder must be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &weather{script: func(_ int, r *http.Request, _ func() *http.Response) (*http.Response, error) {
				response, err := answer(r, tc.status, tc.body)
				response.Header.Set("X-Ms-Error-Code", tc.code)
				return response, err
			}}
			err := open(t, tc.root, storage.Config{
				Timeouts: storage.Timeouts{BackoffBase: time.Millisecond, Attempts: 2},
				GCS:      storage.GCSConfig{Endpoint: "http://host", NoAuth: true, Transport: w},
				Azure:    storage.AzureConfig{AccountKey: "a2V5", Transport: w},
			}).Put(context.Background(), tc.root+"/x", bytes.Repeat([]byte("x"), 10))
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Put: %v, want %v that says %q", err, tc.want, tc.says)
			}
		})
	}
}
