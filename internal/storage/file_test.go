package storage_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/storage"
)

// openFolder opens a store on a new folder and returns its path too.
func openFolder(t *testing.T) (store storage.Store, root, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "warehouse")
	root = "file://" + path
	return open(t, root, storage.Config{}), root, path
}

func TestEnsureFolder(t *testing.T) {
	t.Parallel()
	store, root, path := openFolder(t)
	for _, location := range []string{"/ns/t/metadata", "/ns/t/metadata", "/ns/u/metadata/", ""} {
		if err := store.EnsureFolder(context.Background(), root+location); err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(filepath.Join(path, location)); err != nil || location != "" && len(entries) != 0 {
			t.Errorf("%q holds %v, %v", location, entries, err)
		}
	}
	if found := list(t, store, root); len(found) != 0 {
		t.Errorf("folders are listed as objects: %q", found)
	}
}

func TestPutLeavesOnlyTheObject(t *testing.T) {
	t.Parallel()
	store, root, path := openFolder(t)
	mustPut(t, store, root+"/t/v1", []byte("1"))
	if err := store.Put(context.Background(), root+"/t/v1", []byte("2")); !errors.Is(err, storage.ErrExists) {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(path, "t"))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

func TestLinksOutAreRefused(t *testing.T) {
	t.Parallel()
	store, root, path := openFolder(t)
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"folder":   outside,
		"relative": "../../" + filepath.Base(filepath.Dir(outside)) + "/" + filepath.Base(outside),
		"up":       "..",
		"file":     secret,
	} {
		if err := os.Symlink(target, filepath.Join(path, link)); err != nil {
			t.Fatal(err)
		}
	}
	ctx := context.Background()
	for _, name := range []string{"/folder/new", "/relative/new", "/up/new", "/folder/deep/new"} {
		if err := store.Put(ctx, root+name, []byte("x")); !errors.Is(err, storage.ErrOutside) {
			t.Errorf("Put through a link %s: %v, want ErrOutside", name, err)
		}
		if err := store.EnsureFolder(ctx, root+name); !errors.Is(err, storage.ErrOutside) {
			t.Errorf("EnsureFolder through a link %s: %v, want ErrOutside", name, err)
		}
	}
	for _, name := range []string{"/folder/secret", "/file"} {
		if body, err := store.Get(ctx, root+name, 100); !errors.Is(err, storage.ErrOutside) {
			t.Errorf("Get through a link %s = %q, %v, want ErrOutside", name, body, err)
		}
		if _, err := store.Exists(ctx, root+name); !errors.Is(err, storage.ErrOutside) {
			t.Errorf("Exists through a link %s: %v, want ErrOutside", name, err)
		}
	}
	if err := store.Delete(ctx, root+"/folder/secret"); !errors.Is(err, storage.ErrOutside) {
		t.Errorf("Delete through a link: %v, want ErrOutside", err)
	}
	if err := store.Put(ctx, root+"/file", []byte("x")); !errors.Is(err, storage.ErrExists) {
		t.Errorf("Put onto a link: %v, want ErrExists", err)
	}
	if found := list(t, store, root); len(found) != 0 {
		t.Errorf("List follows links: %q", found)
	}
	if err := store.Delete(ctx, root+"/file"); err != nil {
		t.Errorf("Delete of a link: %v", err)
	}
	entries, err := os.ReadDir(outside)
	if body, _ := os.ReadFile(secret); err != nil || len(entries) != 1 || string(body) != "secret" {
		t.Errorf("outside there is now %v, %v, %q", entries, err, body)
	}
}

func TestLinksWithinAreFollowed(t *testing.T) {
	t.Parallel()
	store, root, path := openFolder(t)
	mustPut(t, store, root+"/real/x", []byte("x"))
	if err := os.Symlink("real", filepath.Join(path, "alias")); err != nil {
		t.Fatal(err)
	}
	if body, err := store.Get(context.Background(), root+"/alias/x", 10); err != nil || string(body) != "x" {
		t.Errorf("Get = %q, %v", body, err)
	}
}

func TestRootMayBeALink(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "disk"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(folder, "disk"), filepath.Join(folder, "wh")); err != nil {
		t.Fatal(err)
	}
	root := "file://" + folder + "/wh"
	store := open(t, root, storage.Config{})
	mustPut(t, store, root+"/t/x", []byte("x"))
	if diff := cmp.Diff([]string{root + "/t/x"}, list(t, store, root)); diff != "" {
		t.Error(diff)
	}
}

func TestReadOnlyFolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "warehouse")
	if os.Getuid() != 0 {
		if err := os.Mkdir(path, 0o500); err != nil {
			t.Fatal(err)
		}
	} else {
		// Permissions do not hold root back, but nobody makes files here.
		path = "/sys/kernel"
		if _, err := os.Stat(path); err != nil {
			t.Skip("no folder that root can't write to")
		}
	}
	root := "file://" + path
	store := open(t, root, storage.Config{})
	err := store.Put(context.Background(), root+"/x", []byte("x"))
	if !errors.Is(err, storage.ErrDenied) || !strings.Contains(err.Error(), root+"/x") {
		t.Errorf("Put: %v, want ErrDenied and the location", err)
	}
	if err := store.EnsureFolder(context.Background(), root+"/t/metadata"); !errors.Is(err, storage.ErrDenied) {
		t.Errorf("EnsureFolder: %v, want ErrDenied", err)
	}
	if _, err := storage.Open(root+"/below", storage.Config{}); !errors.Is(err, storage.ErrConfig) || !strings.Contains(err.Error(), path) {
		t.Errorf("Open: %v, want ErrConfig and the folder", err)
	}
}

func TestThingsInTheWay(t *testing.T) {
	t.Parallel()
	store, root, path := openFolder(t)
	ctx := context.Background()
	mustPut(t, store, root+"/file", []byte("x"))
	if err := store.EnsureFolder(ctx, root+"/folder"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(path, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.Put(ctx, root+"/file/below", nil); !errors.Is(err, storage.ErrDenied) {
		t.Errorf("Put below a file: %v, want ErrDenied", err)
	}
	if err := store.EnsureFolder(ctx, root+"/file"); !errors.Is(err, storage.ErrDenied) {
		t.Errorf("EnsureFolder on a file: %v, want ErrDenied", err)
	}
	if err := store.Put(ctx, root+"/folder", nil); !errors.Is(err, storage.ErrExists) {
		t.Errorf("Put onto a folder: %v, want ErrExists", err)
	}
	if _, err := store.Get(ctx, root+"/pipe", 10); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Get of a pipe: %v, want ErrNotFound", err)
	}
	if _, err := store.Get(ctx, root+"/file/below", 10); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Get below a file: %v, want ErrNotFound", err)
	}
	if _, err := storage.Open(root+"/file", storage.Config{}); !errors.Is(err, storage.ErrConfig) {
		t.Errorf("Open of a file: %v, want ErrConfig", err)
	}
}

// A root that went away is not made again: where it was mounted, it would be
// the wrong disk. When it is back, so is the store.
func TestRootGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	store, root, path := openFolder(t)
	ctx := context.Background()
	mustPut(t, store, root+"/t/x", []byte("x"))
	away := path + ".away"
	if err := os.Rename(path, away); err != nil {
		t.Fatal(err)
	}
	if err := store.Put(ctx, root+"/t/y", nil); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Put: %v, want ErrUnavailable", err)
	}
	if _, err := store.Get(ctx, root+"/t/x", 10); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Get: %v, want ErrUnavailable and not ErrNotFound", err)
	}
	if found, err := store.Exists(ctx, root+"/t/x"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Exists = %v, %v, want ErrUnavailable", found, err)
	}
	if err := os.Rename(away, path); err != nil {
		t.Fatal(err)
	}
	if body, err := store.Get(ctx, root+"/t/x", 10); err != nil || string(body) != "x" {
		t.Errorf("Get = %q, %v", body, err)
	}
}

func TestFoldersRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	store, root, path := openFolder(t)
	mustPut(t, store, root+"/ns/t/x", []byte("x"))
	if err := os.RemoveAll(filepath.Join(path, "ns")); err != nil {
		t.Fatal(err)
	}
	mustPut(t, store, root+"/ns/t/x", []byte("x"))
}

func TestManyWritersInNewFolders(t *testing.T) {
	t.Parallel()
	store, root, _ := openFolder(t)
	var group sync.WaitGroup
	for i := range 32 {
		group.Go(func() {
			location := fmt.Sprintf("%s/a/b/c%d/%d", root, i%4, i)
			if err := store.Put(context.Background(), location, []byte(location)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if found := list(t, store, root); len(found) != 32 {
		t.Errorf("%d objects, want 32", len(found))
	}
}

// childVariable makes the test binary write objects until it is killed.
const childVariable = "STORAGE_TEST_CHILD"

// runChild does what a child process is for, and reports whether this is one.
func runChild() bool {
	switch kind, argument, _ := strings.Cut(os.Getenv(childVariable), " "); kind {
	case "writer":
		writeForever(argument)
	case "tls":
		getOverTLS(argument)
	default:
		return false
	}
	return true
}

func crashBody(name string) []byte { return bytes.Repeat([]byte(name+"\n"), 2000) }

func writeForever(root string) {
	store, err := storage.Open(root, storage.Config{})
	for i := 0; err == nil; i++ {
		name := fmt.Sprintf("%d/%d", i%7, i)
		if err = store.Put(context.Background(), root+"/"+name, crashBody(name)); err == nil {
			fmt.Println(name)
		}
	}
	fmt.Println("failed:", err)
}

// A process that is killed while it writes leaves no half object under any
// name, and everything that it was told was written.
func TestKilledWriterLeavesWholeObjects(t *testing.T) {
	t.Parallel()
	for round := range 3 {
		store, root, path := openFolder(t)
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childVariable+"=writer "+root)
		output, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		var written []string
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			written = append(written, lines.Text())
			if len(written) == 10+7*round {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := child.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		for _, name := range written {
			if body, err := store.Get(context.Background(), root+"/"+name, 1<<20); err != nil || !bytes.Equal(body, crashBody(name)) {
				t.Errorf("%s was acknowledged, and is now %d bytes, %v", name, len(body), err)
			}
		}
		for _, location := range list(t, store, root) {
			name := strings.TrimPrefix(location, root+"/")
			if strings.HasSuffix(name, ".tmp") {
				continue
			}
			if body, err := os.ReadFile(filepath.Join(path, name)); err != nil || !bytes.Equal(body, crashBody(name)) {
				t.Errorf("%s holds %d bytes, %v", name, len(body), err)
			}
		}
	}
}

func TestPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "private")
	root := "file://" + dir
	store := open(t, root, storage.Config{Private: true})
	mustPut(t, store, root+"/a/put", []byte("x"))
	if _, err := store.Upload(t.Context(), root+"/b/uploaded", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
