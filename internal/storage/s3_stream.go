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
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"
)

// s3PartBytes is S3's least: two of them are held at most, and 10,000 parts, which
// are its most, make 48 GiB.
const s3PartBytes = 5 << 20

// s3Upload is a multipart upload. One that fits in a part is a Put.
type s3Upload struct {
	store       *s3Store
	location    string
	bucket, key string

	id    string // "" until a second part comes
	parts []minio.CompletePart
	small []byte // the only part so far, not sent yet
}

func (s *s3Store) begin(_ context.Context, location string) (upload, error) {
	bucket, key := splitBucket(location)
	return &s3Upload{store: s, location: location, bucket: bucket, key: key}, nil
}

func (u *s3Upload) partBytes() int { return s3PartBytes }

func (u *s3Upload) part(ctx context.Context, body []byte) error {
	if u.id == "" && u.small == nil {
		u.small = body
		return nil
	}
	if u.id == "" {
		if err := u.initiate(ctx); err != nil {
			return err
		}
		if err := u.send(ctx, u.small); err != nil {
			return err
		}
		u.small = nil
	}
	return u.send(ctx, body)
}

func (u *s3Upload) initiate(ctx context.Context) (err error) {
	u.id, err = call(ctx, u.store, 0, func(ctx context.Context, _ *budget) (string, error) {
		return u.store.core.NewMultipartUpload(ctx, u.bucket, u.key, minio.PutObjectOptions{ContentType: contentType(u.key)})
	})
	return noBucket(err)
}

// send uploads a part, signed over the whole of it, as often as it takes.
func (u *s3Upload) send(ctx context.Context, body []byte) error {
	number := len(u.parts) + 1
	sum, legacySum := sha256.Sum256(body), md5.Sum(body)
	options := minio.PutObjectPartOptions{
		Sha256Hex: hex.EncodeToString(sum[:]),
		Md5Base64: base64.StdEncoding.EncodeToString(legacySum[:]),
		// Which means: no signature chunk by chunk.
		DisableContentSha256: true,
	}
	part, err := call(ctx, u.store, int64(len(body)), func(ctx context.Context, _ *budget) (minio.ObjectPart, error) {
		return u.store.core.PutObjectPart(ctx, u.bucket, u.key, u.id, number, bytes.NewReader(body), int64(len(body)), options)
	})
	if err != nil {
		return noUpload(err)
	}
	u.parts = append(u.parts, minio.CompletePart{PartNumber: number, ETag: part.ETag})
	return nil
}

func (u *s3Upload) finish(ctx context.Context) error {
	if u.id == "" {
		return u.store.put(ctx, u.location, u.small)
	}
	return u.store.lane.timeouts.retry(ctx, func(n int) error {
		conditional := !u.store.unconditional.Load()
		if !conditional {
			switch found, err := u.store.head(ctx, u.bucket, u.key); {
			case err != nil:
				return err
			case found:
				return u.taken(n)
			}
		}
		// Stores put the parts together before they answer.
		const perPart = 1 << 20
		_, err := once(ctx, u.store, int64(len(u.parts))*perPart, func(ctx context.Context, _ *budget) (minio.UploadInfo, error) {
			var options minio.PutObjectOptions
			if conditional {
				options.SetMatchETagExcept("*")
			}
			return u.store.core.CompleteMultipartUpload(ctx, u.bucket, u.key, u.id, u.parts, options)
		})
		switch {
		case errors.Is(err, errTaken):
			return u.taken(n)
		case errors.Is(err, errUnsupported) && conditional:
			u.store.unconditional.Store(true)
			return &failure{kind: ErrUnavailable, cause: err, retry: true}
		}
		return noUpload(err)
	})
}

// taken is the outcome when the name is taken. After the first attempt it may be
// ours, which landed although we were told otherwise: nobody can tell.
func (u *s3Upload) taken(attempt int) error {
	if attempt == 1 {
		return ErrExists
	}
	return &failure{kind: ErrUnavailable, cause: errors.New("an upload that failed may have landed")}
}

func (u *s3Upload) abort(ctx context.Context) error {
	if u.id == "" {
		return nil
	}
	return u.store.abortUpload(ctx, u.bucket, u.key, u.id)
}

func (s *s3Store) readBlock(ctx context.Context, location string, offset int64, length int) (block, error) {
	bucket, key := splitBucket(location)
	return call(ctx, s, int64(length), func(ctx context.Context, b *budget) (block, error) {
		var options minio.GetObjectOptions
		if err := options.SetRange(offset, offset+int64(length)-1); err != nil {
			return block{}, err
		}
		r, info, header, err := s.core.GetObject(ctx, bucket, key, options)
		if err != nil {
			var response minio.ErrorResponse
			if offset == 0 && errors.As(err, &response) && response.StatusCode == http.StatusRequestedRangeNotSatisfiable {
				return block{tag: info.ETag}, nil // It is empty.
			}
			return block{}, err
		}
		defer r.Close()
		size, err := wholeSize(header, offset, info.Size)
		if err != nil {
			return block{}, err
		}
		b.extend(info.Size)
		body := make([]byte, min(int64(length), size-offset))
		if _, err := io.ReadFull(r, body); err != nil {
			return block{}, err
		}
		return block{body: body, size: size, tag: info.ETag}, nil
	})
}

// wholeSize reads the size of the object out of the answer to a request for a
// part of it. A store that ignores ranges gives all of it, which can only be
// used from its begin.
func wholeSize(header http.Header, offset, length int64) (int64, error) {
	text := header.Get("Content-Range")
	if text == "" && offset == 0 {
		return length, nil
	}
	spec, whole, ok := strings.Cut(text, "/")
	size, err := strconv.ParseInt(whole, 10, 64)
	if !ok || err != nil || !strings.HasPrefix(spec, fmt.Sprintf("bytes %d-", offset)) || size <= offset {
		return 0, fmt.Errorf("the store was asked from byte %d on and answered with %q", offset, text)
	}
	return size, nil
}

// noBucket is for who makes something: a store that says no more than 404 means
// the bucket, or what Azure calls a container.
func noBucket(err error) error {
	if errors.Is(err, ErrNotFound) {
		return &failure{kind: ErrDenied, cause: errors.New("the bucket or container does not exist")}
	}
	return err
}

// noUpload is for who goes on with an upload that somebody else has ended, or
// that has landed already in an attempt that seemed to fail.
func noUpload(err error) error {
	if errors.Is(err, ErrNotFound) {
		return &failure{kind: ErrUnavailable, cause: errors.New("the upload is not known any more")}
	}
	return err
}
