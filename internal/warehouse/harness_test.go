package warehouse_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/warehouse"
)

// yard is the warehouses of a site, whose own are "default" and "other".
type yard struct {
	*warehouse.Warehouses
	t    *testing.T
	site *apitest.Site
	cat  *catalog.Catalog
}

func newYard(t *testing.T) *yard {
	t.Helper()
	site := apitest.NewSite(t)
	cat := site.Catalog(site.OwnStores())
	return &yard{Warehouses: site.Warehouses(cat), t: t, site: site, cat: cat}
}

func by(key string) catalog.Change {
	ch := catalog.Change{Principal: "ann", Key: key}
	if key != "" {
		ch.Fingerprint = []byte("the same request")
	}
	return ch
}

func (y *yard) create(q warehouse.Create) *warehouse.Info {
	y.t.Helper()
	info, err := y.Create(y.t.Context(), by(""), q)
	if err != nil {
		y.t.Fatal(err)
	}
	return info
}

// folder is a request for a warehouse in a folder.
func (y *yard) folder(name string) warehouse.Create {
	return warehouse.Create{Name: name, Root: y.site.Made() + "/" + name}
}

func (y *yard) record(name string) *state.Warehouse {
	y.t.Helper()
	v, err := y.site.Log.State()
	if err != nil {
		y.t.Fatal(err)
	}
	defer v.Close()
	rec, _, ok, err := v.Warehouse(name)
	if err != nil || !ok {
		y.t.Fatalf("warehouse %s: %v, %v", name, ok, err)
	}
	return rec
}

// refused wants a refusal of a kind that says something.
func refused(t *testing.T, err error, kind catalog.Kind, says string) {
	t.Helper()
	if err == nil || catalog.KindOf(err) != kind || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v (%q), want %s and %q", err, catalog.KindOf(err), kind, says)
	}
}

func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

// fakeS3 is as much of an S3 server as one object after another needs. It takes one
// access key; a real one is used elsewhere.
type fakeS3 struct {
	*httptest.Server

	mu      sync.Mutex
	key     string
	objects map[string][]byte
	refuse  string // a method that is forbidden
	asked   []string
}

func newFakeS3(t *testing.T, key string) *fakeS3 {
	t.Helper()
	f := &fakeS3{key: key, objects: map[string][]byte{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// takes makes another access key the one that is taken.
func (f *fakeS3) takes(key, refuse string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.key, f.refuse = key, refuse
}

// left is the objects that there are, and how many requests there were.
func (f *fakeS3) left() (objects, requests int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.objects), len(f.asked)
}

// ServeHTTP implements http.Handler.
func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.Method+" "+r.URL.Path)
	object, found := f.objects[r.URL.Path]
	switch {
	case !strings.Contains(r.Header.Get("Authorization"), "Credential="+f.key+"/"), r.Method == f.refuse:
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
	case r.Method == http.MethodPut:
		f.objects[r.URL.Path] = body
		w.Header().Set("ETag", `"e"`)
	case r.Method == http.MethodDelete:
		delete(f.objects, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	case !found:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "<Error><Code>NoSuchKey</Code><Message>no</Message></Error>")
	default:
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		w.Header().Set("Content-Length", fmt.Sprint(len(object)))
		_, _ = w.Write(object)
	}
}

// bucket is a request for a warehouse in it.
func (f *fakeS3) bucket(name, key string) warehouse.Create {
	return warehouse.Create{
		Name: name, Root: "s3://lake/" + name, Endpoint: f.URL, Region: "eu-test-1", PathStyle: true,
		Credentials: &warehouse.Credentials{AccessKeyID: key, SecretAccessKey: plainSecret},
	}
}

const plainSecret = "a-plainSecret-that-nobody-may-see"

// table makes a namespace and a table in a warehouse, and returns where it lies.
func (y *yard) table(name string) string {
	y.t.Helper()
	if _, err := y.cat.CreateNamespace(y.t.Context(), by(""), name, []string{"ns"}, nil); err != nil {
		y.t.Fatal(err)
	}
	made, err := y.cat.CreateTable(y.t.Context(), by(""), name, catalog.CreateTable{
		Identifier: catalog.Identifier{Namespace: []string{"ns"}, Name: "t"},
		Schema:     []byte(`{"type":"struct","schema-id":0,"fields":[{"id":1,"name":"id","type":"long","required":true}]}`),
	})
	if err != nil {
		y.t.Fatal(err)
	}
	return made.MetadataLocation
}

func (y *yard) load(name string) error {
	_, err := y.cat.LoadTable(context.Background(), name, catalog.Identifier{Namespace: []string{"ns"}, Name: "t"}, catalog.LoadOptions{})
	return err
}
