package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// webPartBytes is a multiple of the 256 KiB that Google wants parts to be; the
// 50,000 blocks that Azure takes make 390 GiB.
const webPartBytes = 8 << 20

// transfer is an upload of more than one part, as a dialect makes it. Each method
// is one attempt; again tells that an earlier one may have got through.
type transfer interface {
	// send sends a part that is not the last one.
	send(ctx context.Context, part webPart, again bool) error

	// finish sends the last part and makes the object appear; errTaken where there is
	// one that is not this.
	finish(ctx context.Context, part webPart, again bool) error

	// abort drops what was sent.
	abort(ctx context.Context) error
}

// webPart is a part of an object.
type webPart struct {
	number int   // from 0
	offset int64 // where it begins
	body   []byte
}

// webUpload holds the last part back until it is known to be the last one. An
// object of one part is a Put.
type webUpload struct {
	store    *webStore
	location string
	transfer transfer // nil until a second part comes
	held     *webPart
}

func (s *webStore) begin(_ context.Context, location string) (upload, error) {
	return &webUpload{store: s, location: location}, nil
}

func (u *webUpload) partBytes() int { return webPartBytes }

func (u *webUpload) part(ctx context.Context, body []byte) error {
	if u.held == nil {
		u.held = &webPart{body: body}
		return nil
	}
	if u.transfer == nil {
		t, err := webCall(ctx, u.store, 0, func(ctx context.Context, _ *budget) (transfer, error) {
			return u.store.dialect.initiate(ctx, u.location)
		})
		if errors.Is(err, errTaken) {
			return ErrExists
		}
		if err != nil {
			return noBucket(err)
		}
		u.transfer = t
	}
	if err := u.try(ctx, u.transfer.send); err != nil {
		return err
	}
	u.held = &webPart{number: u.held.number + 1, offset: u.held.offset + int64(len(u.held.body)), body: body}
	return nil
}

func (u *webUpload) finish(ctx context.Context) error {
	if u.transfer == nil {
		return u.store.put(ctx, u.location, u.held.body)
	}
	return u.try(ctx, u.transfer.finish)
}

// try sends the part that is held, as often as it takes.
func (u *webUpload) try(ctx context.Context, send func(context.Context, webPart, bool) error) error {
	part := *u.held
	err := u.store.lane.timeouts.retry(ctx, func(n int) error {
		_, err := webOnce(ctx, u.store, int64(len(part.body)), func(ctx context.Context, _ *budget) (nothing, error) {
			return nothing{}, send(ctx, part, n > 1)
		})
		return err
	})
	if errors.Is(err, errTaken) {
		return ErrExists
	}
	return noUpload(err)
}

func (u *webUpload) abort(ctx context.Context) error {
	if u.transfer == nil {
		return nil
	}
	_, err := webCall(ctx, u.store, 0, func(ctx context.Context, _ *budget) (nothing, error) {
		return nothing{}, u.transfer.abort(ctx)
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (s *webStore) readBlock(ctx context.Context, location string, offset int64, length int) (block, error) {
	return webCall(ctx, s, int64(length), func(ctx context.Context, b *budget) (block, error) {
		response, err := s.dialect.fetch(ctx, location, http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", offset, offset+int64(length)-1)}})
		if errors.Is(err, errRange) && offset == 0 {
			// It is empty, or a folder.
			return block{}, s.dialect.look(ctx, location)
		}
		if err != nil {
			return block{}, err
		}
		defer response.Body.Close()
		size, err := wholeSize(response.Header, offset, response.ContentLength)
		if err != nil {
			return block{}, classifyTransport(err)
		}
		b.extend(int64(length))
		body := make([]byte, min(int64(length), size-offset))
		if _, err := io.ReadFull(response.Body, body); err != nil {
			return block{}, classifyTransport(err)
		}
		return block{body: body, size: size, tag: cmp.Or(response.Header.Get("X-Goog-Generation"), response.Header.Get("Etag"))}, nil
	})
}
