package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/test/azurite"
	"github.com/floeberg/floeberg/test/gcsserver"
	"github.com/floeberg/floeberg/test/s3server"
)

func TestMain(m *testing.M) {
	if runChild() {
		return
	}
	// What is there already is the thread that starts servers: see test/process.
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// conformance is what every store does alike. Each test has a root of its own.
var conformance = map[string]func(t *testing.T, store storage.Store, root string){
	"object life cycle":        testObjectLifeCycle,
	"sizes":                    testSizes,
	"one of many puts wins":    testOneOfManyPutsWins,
	"names":                    testNames,
	"list keeps to its folder": testListKeepsToItsFolder,
	"locations are confined":   testLocationsAreConfined,
	"ended context":            testEndedContext,
	"delete many":              testDeleteMany,
	"streams":                  testStreams,
	"upload that fails":        testUploadThatFails,
	"download of nothing":      testDownloadOfNothing,
	"download of what changes": testDownloadOfWhatChanges,
}

// TestConformance runs the same tests over a local folder and over servers that
// speak each protocol.
func TestConformance(t *testing.T) {
	t.Parallel()
	stores := map[string]func(t *testing.T) (root string, cfg storage.Config){
		"file": func(t *testing.T) (string, storage.Config) {
			return "file://" + filepath.Join(t.TempDir(), "warehouse"), storage.Config{}
		},
		"s3": func(t *testing.T) (string, storage.Config) {
			server := s3server.Start(t)
			server.CreateBucket(t, "my.bucket")
			return "s3://my.bucket/ware house", storage.Config{S3: storage.S3Config{
				Endpoint:        server.Endpoint,
				Region:          server.Region,
				AccessKeyID:     server.AccessKey,
				SecretAccessKey: server.SecretKey,
				PathStyle:       true,
			}}
		},
		"gs": func(t *testing.T) (string, storage.Config) {
			server := gcsserver.Start(t, "my-bucket")
			return "gs://my-bucket/ware house", storage.Config{GCS: storage.GCSConfig{Endpoint: server.Endpoint, NoAuth: true}}
		},
		"abfss": func(t *testing.T) (string, storage.Config) {
			server := azurite.Start(t, "my-container")
			return server.Location("my-container") + "/ware house", storage.Config{Azure: storage.AzureConfig{
				Endpoint:   server.Endpoint,
				AccountKey: server.AccountKey,
			}}
		},
	}
	for kind, start := range stores {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			root, cfg := start(t)
			for name, test := range conformance {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					own := root + "/" + name
					test(t, open(t, own, cfg), own)
				})
			}
		})
	}
}

func open(t *testing.T, root string, cfg storage.Config) storage.Store {
	t.Helper()
	store, err := storage.Open(root, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func mustPut(t *testing.T, store storage.Store, location string, body []byte) {
	t.Helper()
	if err := store.Put(context.Background(), location, body); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, store storage.Store, location string) []string {
	t.Helper()
	var found []string
	for object, err := range store.List(context.Background(), location) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, object.Location)
	}
	slices.Sort(found)
	return found
}

func testObjectLifeCycle(t *testing.T, store storage.Store, root string) {
	ctx := context.Background()
	location := root + "/ns/t/metadata/00000-a.metadata.json"

	if _, err := store.Get(ctx, location, 100); !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("Get before Put: %v, want ErrNotFound", err)
	}
	if found, err := store.Exists(ctx, location); err != nil || found {
		t.Fatalf("Exists before Put = %v, %v", found, err)
	}
	if err := store.Delete(ctx, location); err != nil {
		t.Fatalf("Delete of nothing: %v", err)
	}

	mustPut(t, store, location, []byte("one"))
	if body, err := store.Get(ctx, location, 3); err != nil || string(body) != "one" {
		t.Fatalf("Get = %q, %v", body, err)
	}
	if found, err := store.Exists(ctx, location); err != nil || !found {
		t.Fatalf("Exists = %v, %v", found, err)
	}
	if found, err := store.Exists(ctx, root+"/ns/t"); err != nil || found {
		t.Fatalf("Exists of a folder = %v, %v", found, err)
	}
	if _, err := store.Get(ctx, root+"/ns/t", 100); !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("Get of a folder: %v, want ErrNotFound", err)
	}
	if err := store.Delete(ctx, root+"/ns/t"); err != nil {
		t.Fatalf("Delete of a folder: %v", err)
	}

	err := store.Put(ctx, location, []byte("two"))
	if !errors.Is(err, storage.ErrExists) || !strings.Contains(err.Error(), location) {
		t.Fatalf("second Put: %v, want ErrExists and the location", err)
	}
	if body, err := store.Get(ctx, location, 100); err != nil || string(body) != "one" {
		t.Fatalf("Get after the second Put = %q, %v", body, err)
	}

	if err := store.Delete(ctx, location); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(ctx, location, 100); !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("Get after Delete: %v, want ErrNotFound", err)
	}
	mustPut(t, store, location, []byte("three"))
}

func testSizes(t *testing.T, store storage.Store, root string) {
	ctx := context.Background()
	// Beyond the size at which S3 clients like to split an upload.
	large := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
	for name, body := range map[string][]byte{"empty": {}, "one": {0}, "large": large} {
		location := root + "/" + name
		mustPut(t, store, location, body)
		got, err := store.Get(ctx, location, int64(len(body)))
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: Get = %d bytes, %v, want %d", name, len(got), err, len(body))
		}
		if len(body) == 0 {
			continue
		}
		if got, err := store.Get(ctx, location, int64(len(body))-1); !errors.Is(err, storage.ErrTooLarge) || got != nil {
			t.Errorf("%s: Get with too little allowed = %d bytes, %v, want ErrTooLarge", name, len(got), err)
		}
	}
}

func testOneOfManyPutsWins(t *testing.T, store storage.Store, root string) {
	location := root + "/deep/new/folder/contested"
	const writers = 16
	results := make([]error, writers)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			results[i] = store.Put(context.Background(), location, fmt.Appendf(nil, "writer %d", i))
		})
	}
	group.Wait()
	winner := -1
	for i, err := range results {
		switch {
		case err == nil && winner >= 0:
			t.Errorf("writers %d and %d were both told that they wrote it", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, storage.ErrExists):
			t.Errorf("writer %d: %v, want ErrExists", i, err)
		}
	}
	body, err := store.Get(context.Background(), location, 100)
	if err != nil || string(body) != fmt.Sprintf("writer %d", winner) {
		t.Errorf("the object is %q, %v; writer %d was told that it wrote it", body, err, winner)
	}
	if diff := cmp.Diff([]string{location}, list(t, store, root+"/deep")); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}

func testNames(t *testing.T, store storage.Store, root string) {
	for _, name := range []string{
		"plain", "sp ace", "per%20cent", "%2F", "plus+equals=", "colon:at@and&", "üñí日本🧊", "quote'd", "par(en)s",
		"star*brace{}[]", "$dollar!", "comma,semi;", "~tilde", ".hidden", "_underscore", "..x", "-dash", "a\"b", "<lt>", "^|`",
	} {
		location := root + "/names/" + name + "/" + name
		mustPut(t, store, location, []byte(name))
		body, err := store.Get(context.Background(), location, 100)
		if err != nil || string(body) != name {
			t.Errorf("%q: Get = %q, %v", name, body, err)
		}
		if diff := cmp.Diff([]string{location}, list(t, store, root+"/names/"+name)); diff != "" {
			t.Errorf("%q: List (-want +got):\n%s", name, diff)
		}
		if err := store.Delete(context.Background(), location); err != nil {
			t.Errorf("%q: Delete: %v", name, err)
		}
	}
}

func testListKeepsToItsFolder(t *testing.T, store storage.Store, root string) {
	if found := list(t, store, root); len(found) != 0 {
		t.Fatalf("a new store holds %q", found)
	}
	want := []string{root + "/t/data/x", root + "/t/data/y", root + "/t/metadata/v1"}
	for _, location := range append([]string{root + "/t2/data/x", root + "/t-old/x", root + "/u"}, want...) {
		mustPut(t, store, location, []byte("body"))
	}
	for _, at := range []string{root + "/t", root + "/t/"} {
		if diff := cmp.Diff(want, list(t, store, at)); diff != "" {
			t.Errorf("List(%q) (-want +got):\n%s", at, diff)
		}
	}
	if found := list(t, store, root); len(found) != 6 {
		t.Errorf("List of the root = %q, want all 6", found)
	}
	if found := list(t, store, root+"/u"); len(found) != 0 {
		t.Errorf("List below an object = %q", found)
	}
	for object, err := range store.List(context.Background(), root+"/t/metadata") {
		if err != nil || object.Size != 4 || object.Modified.IsZero() {
			t.Errorf("List gives %+v, %v", object, err)
		}
	}
	for _, err := range store.List(context.Background(), root) {
		if err == nil {
			break // Ending early must not hang or leak.
		}
		t.Error(err)
	}
}

func testLocationsAreConfined(t *testing.T, store storage.Store, root string) {
	ctx := context.Background()
	for location, want := range map[string]error{
		root + "2/x":         storage.ErrOutside,
		"s3://elsewhere/x":   storage.ErrOutside,
		"file:///etc/passwd": storage.ErrOutside,
		root + "/../x":       storage.ErrInvalidLocation,
		root + "/a//b":       storage.ErrInvalidLocation,
		root + "/x/":         storage.ErrInvalidLocation,
		root:                 storage.ErrInvalidLocation,
		"":                   storage.ErrInvalidLocation,
		"/etc/passwd":        storage.ErrInvalidLocation,
		"http://host/x":      storage.ErrInvalidLocation,
	} {
		if err := store.Put(ctx, location, nil); !errors.Is(err, want) {
			t.Errorf("Put(%q): %v, want %v", location, err, want)
		}
		if _, err := store.Get(ctx, location, 1); !errors.Is(err, want) {
			t.Errorf("Get(%q): %v, want %v", location, err, want)
		}
		if _, err := store.Exists(ctx, location); !errors.Is(err, want) {
			t.Errorf("Exists(%q): %v, want %v", location, err, want)
		}
		if err := store.Delete(ctx, location); !errors.Is(err, want) {
			t.Errorf("Delete(%q): %v, want %v", location, err, want)
		}
	}
	for _, err := range store.List(ctx, root+"2") {
		if !errors.Is(err, storage.ErrOutside) {
			t.Errorf("List outside: %v, want ErrOutside", err)
		}
	}
	if err := store.EnsureFolder(ctx, root+"2/metadata"); !errors.Is(err, storage.ErrOutside) {
		t.Errorf("EnsureFolder outside: %v, want ErrOutside", err)
	}
}

func testEndedContext(t *testing.T, store storage.Store, root string) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := store.Put(ctx, root+"/x", []byte("x"))
	if !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Put = %v, want ErrUnavailable and context.Canceled", err)
	}
	for _, err := range store.List(ctx, root) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("List = %v, want context.Canceled", err)
		}
	}
}

func TestFurtherRoots(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	server := s3server.Start(t)
	server.CreateBucket(t, "first")
	server.CreateBucket(t, "second")
	store := open(t, "s3a://first/", storage.Config{
		S3: storage.S3Config{
			Endpoint: server.Endpoint, Region: server.Region,
			AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey,
		},
		AllowLocations: []string{"s3://second/shared", "file:" + folder + "/local"},
	})
	for _, location := range []string{"s3://first/x", "s3n://second/shared/x", "file://" + folder + "/local/x"} {
		mustPut(t, store, location, []byte("x"))
	}
	for _, location := range []string{"s3://second/x", "s3://second/shared2/x", "file://" + folder + "/x"} {
		if err := store.Put(context.Background(), location, nil); !errors.Is(err, storage.ErrOutside) {
			t.Errorf("Put(%q): %v, want ErrOutside", location, err)
		}
	}
}

func testDeleteMany(t *testing.T, store storage.Store, root string) {
	ctx := context.Background()
	if err := store.DeleteMany(ctx, nil); err != nil {
		t.Fatalf("DeleteMany of nothing: %v", err)
	}
	// More than one file store's attempt takes, with names that need escaping
	// in XML and in URLs, some of them missing.
	var doomed []string
	for i := range 150 {
		doomed = append(doomed, fmt.Sprintf("%s/ns/t/data/p=a%%2F<&>'\" é/%03d.parquet", root, i))
		if i%3 != 0 {
			mustPut(t, store, doomed[i], []byte("x"))
		}
	}
	kept := []string{root + "/ns/t/data/kept.parquet", root + "/ns/t2/data/000.parquet"}
	for _, location := range kept {
		mustPut(t, store, location, []byte("x"))
	}
	for range 2 { // The second time there is nothing left to delete.
		if err := store.DeleteMany(ctx, doomed); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(kept, list(t, store, root+"/ns")); diff != "" {
			t.Fatalf("what is left (-want +got):\n%s", diff)
		}
	}
	if err := store.DeleteMany(ctx, []string{root + "/ns/t"}); err != nil {
		t.Fatalf("DeleteMany of a folder: %v", err)
	}
	for _, outside := range []string{root, root + "/ns/", root + "2/x", "s3://other/x"} {
		err := store.DeleteMany(ctx, []string{kept[0], outside})
		if !errors.Is(err, storage.ErrOutside) && !errors.Is(err, storage.ErrInvalidLocation) {
			t.Errorf("DeleteMany of %s: %v", outside, err)
		}
	}
	if diff := cmp.Diff(kept, list(t, store, root+"/ns")); diff != "" {
		t.Fatalf("after refusals (-want +got):\n%s", diff)
	}
	cut, cancel := context.WithCancel(ctx)
	cancel()
	if err := store.DeleteMany(cut, kept); !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Fatalf("DeleteMany after its end: %v", err)
	}
}
