package storage_test

import (
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/storage"
)

// fakeS3 is as much of an S3 server as it takes to misbehave on purpose. That
// the client is understood by a real one is shown elsewhere.
type fakeS3 struct {
	*httptest.Server

	// script says what goes wrong with the n-th request, counted from 1. It may
	// answer by itself and return true, or return false to let it pass.
	script func(n int, w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	objects  map[string][]byte
	uploads  map[string]map[int][]byte // parts by upload
	requests []*http.Request
	released chan struct{}
}

func newFakeS3(t *testing.T, script func(f *fakeS3, n int, w http.ResponseWriter, r *http.Request) bool) *fakeS3 {
	t.Helper()
	f := newUnstartedFakeS3(script)
	f.Start()
	t.Cleanup(f.stop)
	return f
}

func newUnstartedFakeS3(script func(f *fakeS3, n int, w http.ResponseWriter, r *http.Request) bool) *fakeS3 {
	f := &fakeS3{objects: make(map[string][]byte), uploads: make(map[string]map[int][]byte), released: make(chan struct{})}
	if script != nil {
		f.script = func(n int, w http.ResponseWriter, r *http.Request) bool { return script(f, n, w, r) }
	}
	f.Server = httptest.NewUnstartedServer(f)
	return f
}

func (f *fakeS3) stop() {
	close(f.released)
	f.CloseClientConnections()
	f.Close()
}

// config reaches the fake impatiently.
func (f *fakeS3) config() storage.Config {
	return storage.Config{
		S3: storage.S3Config{Endpoint: f.URL, AccessKeyID: "key", SecretAccessKey: "very-secret", PathStyle: true},
		Timeouts: storage.Timeouts{
			Attempt:     5 * time.Second,
			BackoffBase: time.Millisecond,
			BackoffMax:  4 * time.Millisecond,
		},
	}
}

// seen returns the methods and keys of all requests so far.
func (f *fakeS3) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var seen []string
	for _, r := range f.requests {
		seen = append(seen, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/bucket/"))
	}
	return seen
}

func (f *fakeS3) object(key string) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, ok := f.objects[key]
	return string(body), ok
}

func (f *fakeS3) set(key, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.objects[key] = []byte(body)
}

// hang answers nothing until the client or the test is through.
func (f *fakeS3) hang(r *http.Request) bool {
	// A server notices that its client went away only while it reads.
	_, _ = io.Copy(io.Discard, r.Body)
	select {
	case <-r.Context().Done():
	case <-f.released:
	}
	return true
}

// land does what the request asks for and throws the answer away.
func (f *fakeS3) land(r *http.Request) { f.serve(httptest.NewRecorder(), r) }

// reset breaks the connection as a crashing machine does.
func reset(w http.ResponseWriter) bool {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
	return true
}

// refuse answers with an S3 error.
func refuse(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>said so</Message></Error>", code)
	return true
}

// ServeHTTP implements http.Handler.
func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Clone(r.Context()))
	n := len(f.requests)
	f.mu.Unlock()
	if f.script != nil && f.script(n, w, r) {
		return
	}
	f.serve(w, r)
}

func (f *fakeS3) serve(w http.ResponseWriter, r *http.Request) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := strings.TrimPrefix(r.URL.Path, "/bucket/")
	body, found := f.objects[key]
	query := r.URL.Query()
	switch {
	case query.Has("uploads") || query.Has("uploadId"):
		f.serveUpload(w, r, key, sent)
	case r.Method == http.MethodGet && query.Get("list-type") == "2":
		f.serveList(w, r)
	case r.Method == http.MethodPut && found && r.Header.Get("If-None-Match") == "*":
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
	case r.Method == http.MethodPut:
		f.objects[key] = sent
		w.Header().Set("ETag", `"e"`)
	case r.Method == http.MethodDelete:
		delete(f.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case !found:
		refuse(w, http.StatusNotFound, "NoSuchKey")
	default:
		describeObject(w)
		var from, to int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err == nil {
			if from >= len(body) {
				refuse(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
				return
			}
			to = min(to, len(body)-1)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(body)))
			w.Header().Set("Content-Length", strconv.Itoa(to-from+1))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(body[from : to+1])
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(body)
		}
	}
}

// serveUpload is what there is of multipart uploads.
func (f *fakeS3) serveUpload(w http.ResponseWriter, r *http.Request, key string, sent []byte) {
	query := r.URL.Query()
	id := query.Get("uploadId")
	parts, known := f.uploads[id]
	_, taken := f.objects[key]
	switch {
	case query.Has("uploads"):
		id = fmt.Sprintf("upload-%d", len(f.requests))
		f.uploads[id] = make(map[int][]byte)
		_, _ = fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case !known:
		refuse(w, http.StatusNotFound, "NoSuchUpload")
	case r.Method == http.MethodPut:
		n, _ := strconv.Atoi(query.Get("partNumber"))
		parts[n] = sent
		w.Header().Set("ETag", fmt.Sprintf(`"part-%d"`, n))
	case r.Method == http.MethodDelete:
		delete(f.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case taken && r.Header.Get("If-None-Match") == "*":
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
	default:
		var whole []byte
		for n := 1; n <= len(parts); n++ {
			whole = append(whole, parts[n]...)
		}
		f.objects[key] = whole
		delete(f.uploads, id)
		_, _ = fmt.Fprintf(w, "<CompleteMultipartUploadResult><Bucket>bucket</Bucket><Key>%s</Key><ETag>e</ETag></CompleteMultipartUploadResult>", key)
	}
}

// unfinished is how many uploads are neither completed nor aborted.
func (f *fakeS3) unfinished() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.uploads)
}

func (f *fakeS3) serveList(w http.ResponseWriter, r *http.Request) {
	type content struct {
		Key          string
		Size         int
		LastModified time.Time
	}
	var result struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string
		Contents              []content
	}
	query := r.URL.Query()
	after := max(query.Get("start-after"), query.Get("continuation-token"))
	limit, err := strconv.Atoi(query.Get("max-keys"))
	if err != nil {
		limit = 1000
	}
	var keys []string
	for key := range f.objects {
		if strings.HasPrefix(key, query.Get("prefix")) && key > after {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if len(result.Contents) == limit {
			result.IsTruncated = true
			result.NextContinuationToken = result.Contents[limit-1].Key
			break
		}
		result.Contents = append(result.Contents, content{key, len(f.objects[key]), time.Unix(1, 0).UTC()})
	}
	_ = xml.NewEncoder(w).Encode(result)
}
