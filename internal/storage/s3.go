package storage

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// pageSize is how many objects one listing request asks for: S3's own limit.
const pageSize = 1000

// s3Store keeps objects in the buckets of one S3 endpoint.
type s3Store struct {
	core      *minio.Core
	creds     *credentials.Credentials
	transport http.RoundTripper
	lane      *lane

	// unconditional is set once the store has said that it does not know
	// conditional writes.
	unconditional atomic.Bool
}

// call runs an operation with retries.
func call[T any](ctx context.Context, s *s3Store, size int64, attempt func(context.Context, *budget) (T, error)) (T, error) {
	var value T
	err := s.lane.timeouts.retry(ctx, func(int) (err error) {
		value, err = once(ctx, s, size, attempt)
		return err
	})
	return value, err
}

// once makes one attempt and classifies how it ended.
func once[T any](ctx context.Context, s *s3Store, size int64, attempt func(context.Context, *budget) (T, error)) (T, error) {
	value, err := run(ctx, s.lane, size, func(ctx context.Context, b *budget) (T, error) {
		value, err := attempt(ctx, b)
		return value, classifyS3(err)
	})
	if errors.Is(err, errExpired) {
		s.creds.Expire() // The next attempt fetches new ones.
	}
	return value, err
}

// put writes with "If-None-Match: *" and a signature over the whole body in one
// request: no chunked encoding and no checksum headers that older stores refuse,
// and no multipart upload that a crash could leave behind.
func (s *s3Store) put(ctx context.Context, location string, body []byte) error {
	bucket, key := splitBucket(location)
	// The MD5 is for stores and buckets that insist on that header; what guards
	// the transfer is the hash that is signed.
	sum, legacySum := sha256.Sum256(body), md5.Sum(body)
	sha, md5sum := hex.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(legacySum[:])

	return s.lane.timeouts.retry(ctx, func(n int) error {
		conditional := !s.unconditional.Load()
		if !conditional {
			found, err := s.head(ctx, bucket, key)
			if err != nil {
				return err
			}
			if found {
				return s.taken(ctx, location, body, n)
			}
		}
		_, err := once(ctx, s, int64(len(body)), func(ctx context.Context, _ *budget) (struct{}, error) {
			options := minio.PutObjectOptions{
				ContentType:      contentType(key),
				DisableMultipart: true,
				// Which means: no signature chunk by chunk. The hash is given below.
				DisableContentSha256: true,
				PartSize:             uint64(max(len(body), 5<<20)),
			}
			if conditional {
				options.SetMatchETagExcept("*")
			}
			_, err := s.core.PutObject(ctx, bucket, key, bytes.NewReader(body), int64(len(body)), md5sum, sha, options)
			return struct{}{}, err
		})
		switch {
		case errors.Is(err, errTaken):
			return s.taken(ctx, location, body, n)
		case errors.Is(err, errUnsupported) && conditional:
			s.unconditional.Store(true)
			return &failure{kind: ErrUnavailable, cause: err, retry: true}
		}
		return noBucket(err)
	})
}

// taken is for a Put whose name is taken.
func (s *s3Store) taken(ctx context.Context, location string, body []byte, n int) error {
	bucket, key := splitBucket(location)
	return taken(n, body, func() ([]byte, error) {
		return once(ctx, s, int64(len(body)), func(ctx context.Context, b *budget) ([]byte, error) {
			return s.download(ctx, b, bucket, key, int64(len(body)))
		})
	})
}

func (s *s3Store) get(ctx context.Context, location string, maxBytes int64) ([]byte, error) {
	bucket, key := splitBucket(location)
	return call(ctx, s, 0, func(ctx context.Context, b *budget) ([]byte, error) {
		return s.download(ctx, b, bucket, key, maxBytes)
	})
}

func (s *s3Store) download(ctx context.Context, b *budget, bucket, key string, maxBytes int64) ([]byte, error) {
	r, info, _, err := s.core.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b.extend(info.Size)
	return readAtMost(r, info.Size, maxBytes)
}

func (s *s3Store) exists(ctx context.Context, location string) (bool, error) {
	bucket, key := splitBucket(location)
	var found bool
	err := s.lane.timeouts.retry(ctx, func(int) (err error) {
		found, err = s.head(ctx, bucket, key)
		return err
	})
	return found, err
}

func (s *s3Store) head(ctx context.Context, bucket, key string) (bool, error) {
	_, err := once(ctx, s, 0, func(ctx context.Context, _ *budget) (struct{}, error) {
		_, err := s.core.StatObject(ctx, bucket, key, minio.StatObjectOptions{})
		return struct{}{}, err
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (s *s3Store) remove(ctx context.Context, location string) error {
	bucket, key := splitBucket(location)
	_, err := call(ctx, s, 0, func(ctx context.Context, _ *budget) (struct{}, error) {
		err := s.core.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{})
		var response minio.ErrorResponse
		if errors.As(err, &response) && response.StatusCode == http.StatusOK {
			err = nil // S3 says 204; some stores say 200.
		}
		return struct{}{}, err
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// keysAtOnce is how many objects one request may name: S3's own limit.
const keysAtOnce = 1000

// removeMany deletes with requests that name many objects. What such a request
// does not confirm is deleted by one of its own: stores that don't know the
// request are served so, and what can't be deleted is told apart properly.
func (s *s3Store) removeMany(ctx context.Context, locations []string) error {
	byBucket := make(map[string][]string)
	for _, location := range locations {
		bucket, key := splitBucket(location)
		byBucket[bucket] = append(byBucket[bucket], key)
	}
	for bucket, keys := range byBucket {
		for chunk := range slices.Chunk(keys, keysAtOnce) {
			// A store deletes one after the other: the time grows with their number.
			const perKey = 4 << 10
			left, err := call(ctx, s, int64(len(chunk))*perKey, func(ctx context.Context, _ *budget) ([]string, error) {
				return s.removeKeys(ctx, bucket, chunk)
			})
			if err != nil {
				return err
			}
			for _, key := range left {
				if err := s.remove(ctx, schemeS3+"://"+bucket+"/"+key); err != nil {
					return fmt.Errorf("%q: %w", key, err)
				}
			}
		}
	}
	return nil
}

// removeKeys sends one request and returns the keys that it did not confirm, or
// an error that is worth another attempt.
func (s *s3Store) removeKeys(ctx context.Context, bucket string, keys []string) (left []string, err error) {
	objects := make(chan minio.ObjectInfo, len(keys))
	for _, key := range keys {
		objects <- minio.ObjectInfo{Key: key}
	}
	close(objects)
	confirmed := make(map[string]bool, len(keys))
	for result := range s.core.RemoveObjectsWithResult(ctx, bucket, objects, minio.RemoveObjectsOptions{}) {
		failed := classifyS3(result.Err)
		switch {
		case failed == nil, errors.Is(failed, ErrNotFound):
			confirmed[result.ObjectName] = true
		case ctx.Err() != nil, retryable(failed) && !ofOneKey(result.Err):
			err = result.Err
		}
	}
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if !confirmed[key] {
			left = append(left, key)
		}
	}
	return left, nil
}

// ofOneKey tells that the store answered the request, and what it said of one key.
func ofOneKey(err error) bool {
	var response minio.ErrorResponse
	return errors.As(err, &response) && response.StatusCode == 0
}

// ensureFolder does nothing: there are no folders, and an object that pretends
// to be one would make engines think that the location is not empty.
func (s *s3Store) ensureFolder(context.Context, string) error { return nil }

// page is one piece of a listing. Where last is not empty, there may be more
// after that key.
type page struct {
	objects []Object
	last    string
}

// list asks for one page at a time, each with retries and a slot of its own,
// so that a consumer may take its time between two objects.
func (s *s3Store) list(ctx context.Context, location string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		bucket, key := splitBucket(location)
		prefix := key
		if prefix != "" {
			prefix += "/" // Not the neighbours whose names start alike.
		}
		after := ""
		for {
			p, err := call(ctx, s, 0, func(ctx context.Context, b *budget) (page, error) {
				return s.listPage(ctx, b, bucket, prefix, after)
			})
			if err != nil {
				if errors.Is(err, ErrNotFound) {
					err = &failure{kind: ErrDenied, cause: errors.New("the bucket does not exist")}
				}
				yield(Object{}, err)
				return
			}
			for _, object := range p.objects {
				if !yield(object, nil) {
					return
				}
			}
			if p.last == "" {
				return
			}
			after = p.last
		}
	}
}

func (s *s3Store) listPage(ctx context.Context, b *budget, bucket, prefix, after string) (page, error) {
	var p page
	seen := after
	for info := range s.core.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{
		Prefix:     prefix,
		Recursive:  true,
		StartAfter: after,
		MaxKeys:    pageSize,
	}) {
		if info.Err != nil {
			return p.orFail(seen, after, info.Err)
		}
		b.extend(0) // The store may give less than was asked for at a time.
		if info.Key <= after {
			continue // A store that ignores where to start must not loop us.
		}
		seen = info.Key
		if strings.HasSuffix(info.Key, "/") {
			continue // A folder's marker, no object.
		}
		p.objects = append(p.objects, Object{
			Location: schemeS3 + "://" + bucket + "/" + info.Key,
			Size:     info.Size,
			Modified: info.LastModified,
		})
		if len(p.objects) == pageSize {
			p.last = seen
			return p, nil
		}
	}
	if err := ctx.Err(); err != nil {
		// The library ends a listing without an error when its context ends.
		return p.orFail(seen, after, err)
	}
	return p, nil
}

// orFail ends a page at an error: with what there is so far, from where the
// next attempt goes on, or with the error if there is nothing.
func (p page) orFail(seen, after string, err error) (page, error) {
	if seen == after {
		return page{}, err
	}
	p.last = seen
	return p, nil
}

func (s *s3Store) close() error {
	if t, ok := s.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
	return nil
}

func contentType(key string) string {
	if path.Ext(key) == ".json" && !strings.HasSuffix(key, ".gz.metadata.json") {
		return "application/json"
	}
	return "application/octet-stream"
}
