package storage

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// azureTransfer is a blob in blocks, which a list of them makes appear. Blocks that
// are in no list are removed by the store after a week, or with the next blob of
// that name.
type azureTransfer struct {
	dialect *azureDialect
	bucket  string
	key     string
	// own is in the names of this upload's blocks, so that it knows them again.
	own string
}

func (a *azureDialect) initiate(_ context.Context, location string) (transfer, error) {
	bucket, key := splitBucket(location)
	return &azureTransfer{dialect: a, bucket: bucket, key: key, own: rand.Text()}, nil
}

// block names a block. All of a blob's names must be equally long.
func (t *azureTransfer) block(number int) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s-%06d", t.own, number))
}

func (t *azureTransfer) send(ctx context.Context, part webPart, _ bool) error {
	query := url.Values{"comp": {"block"}, "blockid": {t.block(part.number)}}
	response, err := t.dialect.send(ctx, http.MethodPut, t.bucket, t.key, query, http.Header{"Content-Md5": {md5Of(part.body)}}, part.body)
	if err != nil {
		return err
	}
	_, err = readAnswer(response)
	return err
}

// azureList is the blocks that become a blob, in their order.
type azureList struct {
	XMLName xml.Name `xml:"BlockList"`
	Latest  []string
}

func (t *azureTransfer) finish(ctx context.Context, part webPart, again bool) error {
	if again {
		// An earlier attempt may have made the blob, and has used up its blocks then.
		if ours, err := t.landed(ctx); err != nil || ours {
			return err
		}
	}
	if err := t.send(ctx, part, again); err != nil {
		return err
	}
	var list azureList
	for number := range part.number + 1 {
		list.Latest = append(list.Latest, t.block(number))
	}
	body, err := xml.Marshal(list)
	if err != nil {
		return err
	}
	header := onlyIfAbsent("application/xml")
	header.Set("X-Ms-Blob-Content-Type", contentType(t.key))
	header.Set("Content-Md5", md5Of(body))
	response, err := t.dialect.send(ctx, http.MethodPut, t.bucket, t.key, url.Values{"comp": {"blocklist"}}, header, body)
	if err != nil {
		return err
	}
	_, err = readAnswer(response)
	return err
}

// landed tells whether the blob is there and made of this upload's blocks.
func (t *azureTransfer) landed(ctx context.Context) (bool, error) {
	query := url.Values{"comp": {"blocklist"}, "blocklisttype": {"committed"}}
	response, err := t.dialect.send(ctx, http.MethodGet, t.bucket, t.key, query, nil)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	body, err := readAnswer(response)
	if err != nil {
		return false, err
	}
	var list struct {
		Names []string `xml:"CommittedBlocks>Block>Name"`
	}
	if err := xml.Unmarshal(body, &list); err != nil {
		return false, &failure{kind: ErrUnavailable, cause: fmt.Errorf("the store's list of blocks can't be read: %w", err), retry: true}
	}
	return slices.Contains(list.Names, t.block(0)), nil
}

// abort has nothing to do: unseen blocks can't be removed.
func (t *azureTransfer) abort(context.Context) error { return nil }
