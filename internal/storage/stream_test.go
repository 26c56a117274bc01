package storage_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/internal/storage"
)

// noise is bytes that are the same each time.
func noise(size int) []byte {
	out := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(out)
	return out
}

// dribble gives a reader's bytes in pieces of odd sizes, then an error.
type dribble struct {
	r     io.Reader
	end   error
	piece int
}

func (d *dribble) Read(p []byte) (int, error) {
	d.piece = d.piece*7%65_537 + 1
	n, err := d.r.Read(p[:min(len(p), d.piece)])
	if errors.Is(err, io.EOF) && d.end != nil {
		err = d.end
	}
	return n, err
}

func download(ctx context.Context, store storage.Store, location string) ([]byte, error) {
	r, size, err := store.Download(ctx, location)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r)
	if err == nil && int64(len(body)) != size {
		err = fmt.Errorf("%d bytes were read, %d were announced", len(body), size)
	}
	return body, err
}

func testStreams(t *testing.T, store storage.Store, root string) {
	ctx := t.Context()
	all := noise(17<<20 + 5)
	// On and around the borders of parts and blocks.
	for _, size := range []int{0, 1, 1 << 20, 4 << 20, 4<<20 + 1, 5 << 20, 5<<20 + 1, 8 << 20, 8<<20 + 1, 10 << 20, 16 << 20, len(all)} {
		location := fmt.Sprintf("%s/new folder/%d", root, size)
		n, err := store.Upload(ctx, location, &dribble{r: bytes.NewReader(all[:size])})
		if err != nil || n != int64(size) {
			t.Fatalf("Upload of %d bytes = %d, %v", size, n, err)
		}
		body, err := download(ctx, store, location)
		if err != nil || sha256.Sum256(body) != sha256.Sum256(all[:size]) {
			t.Errorf("Download of %d bytes: %d bytes, %v", size, len(body), err)
		}
		if _, err := store.Upload(ctx, location, strings.NewReader("another")); !errors.Is(err, storage.ErrExists) {
			t.Errorf("a second Upload of %d bytes: %v, want ErrExists", size, err)
		}
		if _, err := store.Upload(ctx, location, bytes.NewReader(all[:9<<20])); !errors.Is(err, storage.ErrExists) {
			t.Errorf("a second Upload in parts: %v, want ErrExists", err)
		}
		body, err = download(ctx, store, location)
		if err != nil || len(body) != size {
			t.Errorf("after that it has %d bytes, %v, want %d", len(body), err, size)
		}
		if err := store.DeleteMany(ctx, []string{location}); err != nil {
			t.Fatal(err)
		}
	}
	if left := list(t, store, root); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// What ends an upload leaves nothing that anybody sees.
func testUploadThatFails(t *testing.T, store storage.Store, root string) {
	broken := errors.New("the source broke")
	for _, size := range []int{0, 100, 20 << 20} {
		_, err := store.Upload(t.Context(), root+"/x", &dribble{r: bytes.NewReader(noise(size)), end: broken})
		if !errors.Is(err, broken) {
			t.Errorf("a source that breaks after %d bytes: %v", size, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := store.Upload(ctx, root+"/x", readerFunc(func(p []byte) (int, error) {
		cancel()
		return len(p), nil
	}))
	if !errors.Is(err, context.Canceled) || !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a caller that gives up: %v", err)
	}
	if left := list(t, store, root); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func testDownloadOfNothing(t *testing.T, store storage.Store, root string) {
	mustPut(t, store, root+"/folder/x", []byte("x"))
	for _, location := range []string{root + "/nothing", root + "/folder"} {
		if _, _, err := store.Download(t.Context(), location); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Download of %s: %v, want ErrNotFound", location, err)
		}
	}
	for _, location := range []string{"file:///etc/passwd", "s3://elsewhere/x", root, root + "/x/"} {
		_, _, err := store.Download(t.Context(), location)
		if !errors.Is(err, storage.ErrOutside) && !errors.Is(err, storage.ErrInvalidLocation) {
			t.Errorf("Download of %s: %v", location, err)
		}
		_, err = store.Upload(t.Context(), location, strings.NewReader("x"))
		if !errors.Is(err, storage.ErrOutside) && !errors.Is(err, storage.ErrInvalidLocation) {
			t.Errorf("Upload of %s: %v", location, err)
		}
	}
}

// An object that is another one halfway is not taken for one.
func testDownloadOfWhatChanges(t *testing.T, store storage.Store, root string) {
	location := root + "/x"
	mustPut(t, store, location, noise(9<<20))
	r, _, err := store.Download(t.Context(), location)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(t.Context(), location); err != nil {
		t.Fatal(err)
	}
	mustPut(t, store, location, noise(8<<20))
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("it was read with %v, want ErrUnavailable", err)
	}
}
