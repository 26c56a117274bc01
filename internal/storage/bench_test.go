package storage_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/test/s3server"
)

func BenchmarkCanonical(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := storage.Canonical("s3://bucket/warehouse/namespace/table/metadata/00001-a.metadata.json"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPutGet(b *testing.B) {
	body := bytes.Repeat([]byte("metadata"), 500)
	run := func(b *testing.B, root string, cfg storage.Config) {
		store, err := storage.Open(root, cfg)
		if err != nil {
			b.Fatal(err)
		}
		defer store.Close()
		ctx := context.Background()
		written := 0
		b.Run("put", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				written++
				if err := store.Put(ctx, fmt.Sprintf("%s/t/%d", root, written), body); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("get", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := store.Get(ctx, root+"/t/1", 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("file", func(b *testing.B) {
		run(b, "file://"+filepath.Join(b.TempDir(), "wh"), storage.Config{})
	})
	b.Run("s3", func(b *testing.B) {
		server := s3server.Start(b)
		server.CreateBucket(b, "bucket")
		run(b, "s3://bucket", storage.Config{S3: storage.S3Config{
			Endpoint: server.Endpoint, Region: server.Region, AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey,
		}})
	})
}

// A thousand empty objects, and of each thousand only the deletion is timed.
func BenchmarkDeleteMany(b *testing.B) {
	run := func(b *testing.B, root string, cfg storage.Config) {
		store, err := storage.Open(root, cfg)
		if err != nil {
			b.Fatal(err)
		}
		defer store.Close()
		ctx := context.Background()
		locations := make([]string, 1000)
		for b.Loop() {
			b.StopTimer()
			for i := range locations {
				locations[i] = fmt.Sprintf("%s/t/%d", root, i)
				if err := store.Put(ctx, locations[i], nil); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
			if err := store.DeleteMany(ctx, locations); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("file", func(b *testing.B) {
		run(b, "file://"+filepath.Join(b.TempDir(), "wh"), storage.Config{})
	})
	b.Run("s3", func(b *testing.B) {
		server := s3server.Start(b)
		server.CreateBucket(b, "bucket")
		run(b, "s3://bucket", storage.Config{S3: storage.S3Config{
			Endpoint: server.Endpoint, Region: server.Region, AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey,
		}})
	})
}
