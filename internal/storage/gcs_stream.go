package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// gcsTransfer is a resumable upload: bytes are added to a session, which tells how
// many it has and remembers that it became an object.
type gcsTransfer struct {
	dialect *gcsDialect
	session string // path and query
}

func (g *gcsDialect) initiate(ctx context.Context, location string) (transfer, error) {
	bucket, key := splitBucket(location)
	about, err := json.Marshal(gcsResource{Name: key, ContentType: contentType(key)})
	if err != nil {
		return nil, err
	}
	header := http.Header{"Content-Type": {"application/json; charset=UTF-8"}}
	response, err := g.send(ctx, http.MethodPost, "/upload"+gcsBucket(bucket), onlyIfNew("resumable"), header, about)
	if err != nil {
		return nil, err
	}
	if _, err := readAnswer(response); err != nil {
		return nil, err
	}
	// Of the session's address only what is behind the host: the token goes to where
	// it was meant for, and a proxy in between stays there.
	session, err := url.Parse(response.Header.Get("Location"))
	if err != nil || session.Path == "" {
		return nil, &failure{kind: ErrUnavailable, cause: errors.New("the store began an upload and did not say where"), retry: true}
	}
	return &gcsTransfer{dialect: g, session: session.RequestURI()}, nil
}

func (t *gcsTransfer) send(ctx context.Context, part webPart, again bool) error {
	return t.add(ctx, part, "*", again)
}

func (t *gcsTransfer) finish(ctx context.Context, part webPart, again bool) error {
	return t.add(ctx, part, strconv.FormatInt(part.offset+int64(len(part.body)), 10), again)
}

// add sends what the session does not have yet of a part; total is the object's
// size, or "*" before its last part.
func (t *gcsTransfer) add(ctx context.Context, part webPart, total string, again bool) error {
	from, end := part.offset, part.offset+int64(len(part.body))
	if again {
		has, done, err := t.put(ctx, "bytes */"+total, nil)
		if err != nil || done || has >= end {
			return err
		}
		from = has
	}
	for from < end {
		if from < part.offset {
			return &failure{kind: ErrUnavailable, cause: errors.New("the store lost what it had of the upload")}
		}
		has, done, err := t.put(ctx, fmt.Sprintf("bytes %d-%d/%s", from, end-1, total), part.body[from-part.offset:])
		switch {
		case err != nil || done:
			return err
		case has == from || has > end:
			return &failure{kind: ErrUnavailable, cause: fmt.Errorf("the store has %d bytes after it was sent up to %d", has, end), retry: true}
		}
		from = has
	}
	if total != "*" {
		return &failure{kind: ErrUnavailable, cause: errors.New("the store has all of the upload and made no object of it"), retry: true}
	}
	return nil
}

// put sends bytes to the session, or asks it. It tells how many it has from the
// object's begin, and whether they have become the object.
func (t *gcsTransfer) put(ctx context.Context, contentRange string, body []byte) (has int64, done bool, err error) {
	response, err := t.dialect.ask(ctx, http.MethodPut, t.session, http.Header{"Content-Range": {contentRange}}, body)
	switch {
	case err != nil:
		return 0, false, err
	case response.StatusCode/100 == 2:
		_, err := readAnswer(response)
		return 0, true, err
	case response.StatusCode != http.StatusPermanentRedirect: // Which here means "go on".
		err := classifyGCS(response)
		if response.StatusCode == http.StatusGone {
			err = ErrNotFound
		}
		return 0, false, err
	}
	if _, err := readAnswer(response); err != nil {
		return 0, false, err
	}
	span := response.Header.Get("Range")
	if span == "" {
		return 0, false, nil // Nothing yet.
	}
	last, err := strconv.ParseInt(strings.TrimPrefix(strings.TrimPrefix(span, "bytes="), "0-"), 10, 64)
	if err != nil {
		return 0, false, &failure{kind: ErrUnavailable, cause: fmt.Errorf("the store has %q of the upload", span), retry: true}
	}
	return last + 1, false, nil
}

// statusCancelled is how Google confirms that an upload was given up.
const statusCancelled = 499

func (t *gcsTransfer) abort(ctx context.Context) error {
	response, err := t.dialect.ask(ctx, http.MethodDelete, t.session, nil)
	if err != nil {
		return err
	}
	if response.StatusCode == statusCancelled || response.StatusCode/100 == 2 {
		_, err := readAnswer(response)
		return err
	}
	return classifyGCS(response)
}
