package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// blockBytes is how much of an object a download holds at a time.
const blockBytes = 4 << 20

// upload is an object that is being written in parts. Nobody sees anything of
// it before finish. Calls come one after the other.
type upload interface {
	// partBytes is how large each part is but the last one.
	partBytes() int
	// part sends the next part. The body stays unchanged even after the call
	// returned.
	part(ctx context.Context, body []byte) error
	// finish makes the object appear, durable. It never replaces one (ErrExists).
	finish(ctx context.Context) error
	// abort drops what was sent. The upload can't be used any more.
	abort(ctx context.Context) error
}

// abortTimeout bounds the clean-up after an upload whose caller is gone already.
const abortTimeout = 3 * time.Second

// Upload implements Store.
func (f *front) Upload(ctx context.Context, location string, body io.Reader) (int64, error) {
	canonical, m, err := f.resolveObject(location)
	if err != nil {
		return 0, f.timed("upload", func() error { return describe("upload", location, err) })
	}
	size, err := f.upload(ctx, m.backend, canonical, body)
	if err != nil {
		return size, fmt.Errorf("upload %q: %w", canonical, err)
	}
	return size, nil
}

func (f *front) upload(ctx context.Context, b backend, location string, body io.Reader) (size int64, err error) {
	var u upload
	err = f.timed("upload", func() (err error) {
		u, err = b.begin(ctx, location)
		return err
	})
	if err != nil {
		return 0, err
	}
	defer func() {
		if err == nil {
			return
		}
		// Also where the caller has given up: what was sent costs room.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
		defer cancel()
		if e := u.abort(ctx); e != nil {
			err = fmt.Errorf("%w (what was sent could not be removed: %w)", err, e)
		}
	}()
	for last := false; !last; {
		// A new one for each part: an attempt that was given up may still read the old.
		part := make([]byte, u.partBytes())
		n, err := io.ReadFull(body, part)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			last = true
		case err != nil:
			return size, err
		}
		if n == 0 && size > 0 {
			break
		}
		if err := f.timed("upload", func() error { return u.part(ctx, part[:n]) }); err != nil {
			return size, err
		}
		size += int64(n)
	}
	return size, f.timed("upload", func() error { return u.finish(ctx) })
}

// block is a part of an object.
type block struct {
	body []byte
	// size is the whole object's, and tag tells it from others of its name where
	// the store knows how to.
	size int64
	tag  string
}

// Download implements Store.
func (f *front) Download(ctx context.Context, location string) (io.Reader, int64, error) {
	var r *blockReader
	err := f.timed("download", func() error {
		canonical, m, err := f.resolveObject(location)
		if err != nil {
			return describe("download", location, err)
		}
		first, err := m.backend.readBlock(ctx, canonical, 0, blockBytes)
		if err != nil {
			return fmt.Errorf("download %q: %w", canonical, err)
		}
		r = &blockReader{ctx: ctx, front: f, backend: m.backend, location: canonical, block: first, read: int64(len(first.body))}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return r, r.block.size, nil
}

// blockReader reads an object block by block, each with a call of its own, so
// that its consumer may take its time and a call that fails is made again.
type blockReader struct {
	ctx      context.Context
	front    *front
	backend  backend
	location string
	block    block // whose body is what was not consumed yet
	read     int64 // bytes of the object that were read so far
	failed   error
}

// Read implements io.Reader.
func (r *blockReader) Read(p []byte) (int, error) {
	if len(r.block.body) == 0 && r.failed == nil {
		if r.read == r.block.size {
			return 0, io.EOF
		}
		r.failed = r.front.timed("download", r.next)
	}
	if r.failed != nil {
		return 0, r.failed
	}
	n := copy(p, r.block.body)
	r.block.body = r.block.body[n:]
	return n, nil
}

func (r *blockReader) next() error {
	b, err := r.backend.readBlock(r.ctx, r.location, r.read, blockBytes)
	switch {
	case err != nil:
	case b.size != r.block.size || b.tag != r.block.tag:
		err = &failure{kind: ErrUnavailable, cause: errors.New("the object changed while it was read")}
	case len(b.body) == 0:
		err = &failure{kind: ErrUnavailable, cause: fmt.Errorf("the store gave nothing from byte %d on, of %d", r.read, b.size)}
	}
	if err != nil {
		return fmt.Errorf("download %q: %w", r.location, err)
	}
	r.block = b
	r.read += int64(len(b.body))
	return nil
}
