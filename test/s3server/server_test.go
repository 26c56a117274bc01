package s3server_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/test/s3server"
)

func open(t *testing.T, s *s3server.Server, attempt time.Duration) storage.Store {
	t.Helper()
	store, err := storage.Open("s3://warehouse", storage.Config{
		S3: storage.S3Config{
			Endpoint:        s.Endpoint,
			Region:          s.Region,
			AccessKeyID:     s.AccessKey,
			SecretAccessKey: s.SecretKey,
			PathStyle:       true,
		},
		Timeouts: storage.Timeouts{Attempt: attempt, Attempts: 1},
	})
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

func TestServerKeepsObjectsOverRestart(t *testing.T) {
	t.Parallel()
	server := s3server.Start(t)
	server.CreateBucket(t, "warehouse")
	store := open(t, server, 10*time.Second)
	ctx := context.Background()
	if err := store.Put(ctx, "s3://warehouse/a", []byte("kept")); err != nil {
		t.Fatal(err)
	}

	server.Stop()
	if _, err := store.Get(ctx, "s3://warehouse/a", 10); !errors.Is(err, storage.ErrUnavailable) {
		t.Fatalf("Get from a stopped server: %v, want ErrUnavailable", err)
	}

	server.Restart(t)
	body, err := store.Get(ctx, "s3://warehouse/a", 10)
	if err != nil || string(body) != "kept" {
		t.Fatalf("Get after a restart = %q, %v", body, err)
	}
}

func TestFrozenServerIsSlowAndComesBack(t *testing.T) {
	t.Parallel()
	server := s3server.Start(t)
	server.CreateBucket(t, "warehouse")
	ctx := context.Background()

	server.Freeze(t)
	impatient := open(t, server, 50*time.Millisecond)
	if _, err := impatient.Exists(ctx, "s3://warehouse/a"); !errors.Is(err, storage.ErrUnavailable) {
		t.Fatalf("Exists on a frozen server: %v, want ErrUnavailable", err)
	}

	server.Thaw(t)
	if found, err := open(t, server, 10*time.Second).Exists(ctx, "s3://warehouse/a"); err != nil || found {
		t.Fatalf("Exists on a thawed server = %v, %v", found, err)
	}
}
