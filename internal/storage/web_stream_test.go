package storage_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/floeberg/floeberg/internal/storage"
)

// isFinish recognizes the request that makes an object of an upload: for Google the
// last part, which tells the whole size, for Azure the list of blocks.
func isFinish(r *http.Request) bool {
	return r.Method == http.MethodPut && (r.URL.Query().Get("comp") == "blocklist" ||
		strings.HasPrefix(r.Header.Get("Content-Range"), "bytes ") && !strings.HasSuffix(r.Header.Get("Content-Range"), "/*"))
}

// googleSessions answers for resumable uploads as Google does, which the emulator
// does not: a session says how much it has, takes bytes again, and remembers that
// it became an object. The object is then the emulator's.
type googleSessions struct {
	next http.RoundTripper

	mu       sync.Mutex
	sessions map[string]*googleSession
}

type googleSession struct {
	insert *url.URL
	has    []byte
	done   bool
}

func (g *googleSessions) RoundTrip(r *http.Request) (*http.Response, error) {
	query := r.URL.Query()
	g.mu.Lock()
	defer g.mu.Unlock()
	if query.Get("uploadType") == "resumable" {
		id := fmt.Sprint(len(g.sessions))
		var about struct{ Name string }
		if err := json.NewDecoder(r.Body).Decode(&about); err != nil {
			return answer(r, 400, err.Error())
		}
		insert := *r.URL
		query.Set("uploadType", "media")
		query.Set("name", about.Name)
		insert.RawQuery = query.Encode()
		g.sessions[id] = &googleSession{insert: &insert}
		response, err := answer(r, 200, "")
		response.Header.Set("Location", "http://elsewhere"+r.URL.Path+"?upload_id="+id)
		return response, err
	}
	s := g.sessions[query.Get("upload_id")]
	switch {
	case s == nil:
		return g.next.RoundTrip(r)
	case r.Method == http.MethodDelete:
		delete(g.sessions, query.Get("upload_id"))
		return answer(r, 499, "")
	case s.done:
		return answer(r, 200, "{}")
	}
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	span, total, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Content-Range"), "bytes "), "/")
	if first, _, ok := strings.Cut(span, "-"); ok {
		if first != fmt.Sprint(len(s.has)) {
			return answer(r, 400, "not where it ended")
		}
		s.has = append(s.has, sent...)
	}
	if total == fmt.Sprint(len(s.has)) {
		insert, err := http.NewRequestWithContext(r.Context(), http.MethodPost, s.insert.String(), bytes.NewReader(s.has))
		if err != nil {
			return nil, err
		}
		response, err := g.next.RoundTrip(insert)
		s.done = err == nil && response.StatusCode == http.StatusOK
		return response, err
	}
	response, err := answer(r, http.StatusPermanentRedirect, "")
	if len(s.has) > 0 {
		response.Header.Set("Range", fmt.Sprintf("bytes=0-%d", len(s.has)-1))
	}
	return response, err
}

// Uploads whose requests go wrong, once each.
func TestWebUploadFaults(t *testing.T) {
	t.Parallel()
	body := noise(20 << 20)
	stores := webStores(t)
	for name, tc := range map[string]struct {
		// hit picks the request that meets bad weather, the first of its kind.
		hit func(r *http.Request) bool
		// lands tells whether it gets through and only its answer is lost.
		lands  bool
		before bool // there is somebody else's object
		want   error
	}{
		"the first request is lost":          {hit: func(*http.Request) bool { return true }},
		"a part is lost":                     {hit: func(r *http.Request) bool { return r.ContentLength == 8<<20 }},
		"the answer to a part is lost":       {hit: func(r *http.Request) bool { return r.ContentLength == 8<<20 }, lands: true},
		"the last request is lost":           {hit: isFinish},
		"the answer to the last one is lost": {hit: isFinish, lands: true},
		"the name is taken": {
			hit: func(*http.Request) bool { return false }, before: true, want: storage.ErrExists,
		},
		"the name is taken, and a request is lost": {hit: isFinish, before: true, want: storage.ErrExists},
	} {
		for kind, make := range stores {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := &weather{}
				root, cfg := make(t, w)
				w.next = &googleSessions{next: w.next, sessions: map[string]*googleSession{}}
				store := open(t, root, cfg)
				location, there := root+"/x", body
				if tc.before {
					there = []byte("yours")
					mustPut(t, store, location, there)
				}
				var done atomic.Bool
				w.script = func(_ int, r *http.Request, pass func() *http.Response) (*http.Response, error) {
					if !tc.hit(r) || !done.CompareAndSwap(false, true) {
						return nil, nil
					}
					if tc.lands {
						return nil, landed(pass)
					}
					return nil, syscall.ECONNRESET
				}
				size, err := store.Upload(t.Context(), location, bytes.NewReader(body))
				if !errors.Is(err, tc.want) || tc.want == nil && size != int64(len(body)) {
					t.Errorf("Upload = %d, %v, want %v", size, err, tc.want)
				}
				if got, err := download(t.Context(), store, location); err != nil || !bytes.Equal(got, there) {
					t.Errorf("the object has %d bytes, %v, want %d", len(got), err, len(there))
				}
			})
		}
	}
}

// A store that takes less of a part than it was sent gets the rest.
func TestGoogleTakesPartOfAPart(t *testing.T) {
	t.Parallel()
	body := noise(9 << 20)
	const session = "https://storage.googleapis.com/upload/session?upload_id=1"
	var ranges []string
	var got []byte
	w := &weather{script: func(n int, r *http.Request, _ func() *http.Response) (*http.Response, error) {
		if n == 1 {
			response, err := answer(r, 200, "")
			response.Header.Set("Location", session)
			return response, err
		}
		if r.URL.String() != session {
			t.Errorf("it sends to %s", r.URL)
		}
		ranges = append(ranges, r.Header.Get("Content-Range"))
		sent := new(bytes.Buffer)
		if _, err := sent.ReadFrom(r.Body); err != nil {
			t.Error(err)
		}
		has := ""
		switch n {
		case 2: // Takes half a megabyte.
			got = append(got, sent.Next(512<<10)...)
			has = "bytes=0-524287"
		case 3: // Fails, and has taken it all.
			got = append(got, sent.Bytes()...)
			return answer(r, 503, "")
		case 4: // Is asked.
			has = "bytes=0-8388607"
		default:
			got = append(got, sent.Bytes()...)
			return answer(r, 200, "{}")
		}
		response, err := answer(r, 308, "")
		response.Header.Set("Range", has)
		return response, err
	}}
	store := open(t, gcsRoot, storage.Config{
		Timeouts: storage.Timeouts{BackoffBase: 1},
		GCS:      storage.GCSConfig{NoAuth: true, Transport: w},
	})
	if _, err := store.Upload(t.Context(), gcsRoot+"/x", bytes.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	want := "bytes 0-8388607/*, bytes 524288-8388607/*, bytes */*, bytes 8388608-9437183/9437184"
	if text := strings.Join(ranges, ", "); text != want || !bytes.Equal(got, body) {
		t.Errorf("it sent %d bytes as %q, want %q", len(got), text, want)
	}
}
