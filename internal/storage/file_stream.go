package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// filePartBytes is small because each part is synced: the disk of a warehouse
// may be that of the Raft log, whose syncs would wait behind all that one large
// file has left unwritten.
const filePartBytes = 1 << 20

// fileUpload writes a file under a temporary name in the folder of its own.
type fileUpload struct {
	store               *fileStore
	location, temporary string
	size                int64
}

func (s *fileStore) begin(ctx context.Context, location string) (upload, error) {
	u := &fileUpload{store: s, location: location}
	u.temporary = strings.TrimSuffix(location, path.Base(location)) + ".floeberg-" + rand.Text() + ".tmp"
	_, err := in(ctx, s, u.temporary, 0, func(root *os.Root, name string, _ *budget) (struct{}, error) {
		if err := s.settle(root, path.Dir(name)); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.writeSynced(root, name, nil)
	})
	return u, notMissing(err)
}

func (u *fileUpload) partBytes() int { return filePartBytes }

func (u *fileUpload) part(ctx context.Context, body []byte) error {
	offset := u.size
	_, err := in(ctx, u.store, u.temporary, int64(len(body)), func(root *os.Root, name string, _ *budget) (_ struct{}, err error) {
		f, err := root.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return struct{}{}, err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		if _, err := f.WriteAt(body, offset); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, f.Sync()
	})
	if err == nil {
		u.size += int64(len(body))
	}
	return notMissing(err)
}

func (u *fileUpload) finish(ctx context.Context) error {
	_, err := in(ctx, u.store, u.location, 0, func(root *os.Root, name string, _ *budget) (struct{}, error) {
		dir, err := root.Open(path.Dir(name))
		if err != nil {
			return struct{}{}, err
		}
		if err := u.store.publish(root, u.store.name(u.temporary), name); err != nil {
			return struct{}{}, errors.Join(err, dir.Close())
		}
		return struct{}{}, syncClose(dir)
	})
	return notMissing(err)
}

func (u *fileUpload) abort(ctx context.Context) error { return u.store.remove(ctx, u.temporary) }

func (s *fileStore) readBlock(ctx context.Context, location string, offset int64, length int) (block, error) {
	return in(ctx, s, location, int64(length), func(root *os.Root, name string, _ *budget) (block, error) {
		info, err := root.Stat(name)
		if err != nil {
			return block{}, noFolder(err)
		}
		if !info.Mode().IsRegular() {
			return block{}, ErrNotFound
		}
		b := block{size: info.Size(), tag: fmt.Sprint(info.ModTime().UnixNano())}
		if left := b.size - offset; left < int64(length) {
			length = int(max(left, 0))
		}
		f, err := root.Open(name)
		if err != nil {
			return block{}, err
		}
		defer f.Close()
		body := make([]byte, length)
		n, err := f.ReadAt(body, offset)
		if errors.Is(err, io.EOF) {
			err = nil // It was cut since it was looked at, which the reader finds out.
		}
		b.body = body[:n]
		return b, err
	})
}
