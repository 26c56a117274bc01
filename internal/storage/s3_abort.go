package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// uploadAborter is a backend that keeps uploads which nobody finishes for ever.
type uploadAborter interface {
	abortUploads(ctx context.Context, location string, before time.Time) (int, error)
}

// AbortUploads implements Store.
func (f *front) AbortUploads(ctx context.Context, location string, before time.Time) (int, error) {
	canonical, m, err := f.resolve(location)
	if err != nil {
		return 0, describe("abort_uploads", location, err)
	}
	b, ok := m.backend.(uploadAborter)
	if !ok {
		return 0, nil
	}
	var ended int
	err = f.timed("abort_uploads", func() (err error) {
		if ended, err = b.abortUploads(ctx, canonical, before); err != nil {
			return fmt.Errorf("abort_uploads %q: %w", canonical, err)
		}
		return nil
	})
	return ended, err
}

func (s *s3Store) abortUploads(ctx context.Context, location string, before time.Time) (int, error) {
	bucket, key := splitBucket(location)
	prefix := key
	if prefix != "" {
		prefix += "/" // Not the neighbours whose names start alike.
	}
	ended, keyMarker, idMarker := 0, "", ""
	for {
		found, err := call(ctx, s, 0, func(ctx context.Context, _ *budget) (minio.ListMultipartUploadsResult, error) {
			return s.core.ListMultipartUploads(ctx, bucket, prefix, keyMarker, idMarker, "", pageSize)
		})
		if err != nil {
			return ended, noBucket(err)
		}
		for _, u := range found.Uploads {
			// A store that ignores the prefix, or does not say since when, must not have
			// us end what is not ours, or under way.
			if !strings.HasPrefix(u.Key, prefix) || u.Initiated.IsZero() || !u.Initiated.Before(before) {
				continue
			}
			if err := s.abortUpload(ctx, bucket, u.Key, u.UploadID); err != nil {
				return ended, fmt.Errorf("%q: %w", u.Key, err)
			}
			ended++
		}
		if !found.IsTruncated || found.NextKeyMarker == keyMarker && found.NextUploadIDMarker == idMarker {
			return ended, nil
		}
		keyMarker, idMarker = found.NextKeyMarker, found.NextUploadIDMarker
	}
}

// abortUpload ends an upload. It is no error if there is none.
func (s *s3Store) abortUpload(ctx context.Context, bucket, key, id string) error {
	_, err := call(ctx, s, 0, func(ctx context.Context, _ *budget) (struct{}, error) {
		return struct{}{}, s.core.AbortMultipartUpload(ctx, bucket, key, id)
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
