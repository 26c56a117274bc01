package storage_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/test/s3server"
)

// What a process that was killed in an upload has sent stays in a bucket, unseen,
// until somebody ends the upload.
func TestUploadsCutShortAreEnded(t *testing.T) {
	t.Parallel()
	server := s3server.Start(t)
	server.CreateBucket(t, "bucket")
	store, err := storage.Open("s3://bucket/a", storage.Config{S3: storage.S3Config{
		Endpoint: server.Endpoint, Region: server.Region,
		AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey, PathStyle: true,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })

	// Each upload has sent two parts when the writer of its body gets to the third.
	type started struct {
		body *io.PipeWriter
		done chan error
	}
	begin := func(location string) started {
		body, w := io.Pipe()
		s := started{w, make(chan error, 1)}
		go func() {
			_, err := store.Upload(t.Context(), location, body)
			_ = body.CloseWithError(err)
			s.done <- err
		}()
		if _, err := w.Write(bytes.Repeat([]byte("x"), 16<<20)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	ours, theirs := begin("s3://bucket/a/b/ours"), begin("s3://bucket/a/b2/theirs")

	abort := func(location string, before time.Time, want int) {
		t.Helper()
		if n, err := store.AbortUploads(t.Context(), location, before); err != nil || n != want {
			t.Errorf("%d uploads of %s ended, %v; want %d", n, location, err, want)
		}
	}
	abort("s3://bucket/a/b", time.Now().Add(-time.Hour), 0) // they are under way
	abort("s3://bucket/a/b", time.Now().Add(time.Hour), 1)
	abort("s3://bucket/a/b", time.Now().Add(time.Hour), 0)
	if err := errors.Join(theirs.body.Close(), <-theirs.done); err != nil {
		t.Errorf("the neighbour's upload: %v", err)
	}
	_ = ours.body.Close() // fails where the upload has already noticed
	if err := <-ours.done; !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("the upload that was ended: %v", err)
	}
	for location, want := range map[string]bool{"s3://bucket/a/b/ours": false, "s3://bucket/a/b2/theirs": true} {
		if found, err := store.Exists(t.Context(), location); err != nil || found != want {
			t.Errorf("%s: %v, %v", location, found, err)
		}
	}
	if _, err := store.AbortUploads(t.Context(), "s3://other/a", time.Now()); !errors.Is(err, storage.ErrOutside) {
		t.Errorf("got %v", err)
	}
}
