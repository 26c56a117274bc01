package storage

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// write makes a file appear under its name at once and complete, or not at
// all: the content is written and synced under a temporary name in the same
// folder, which is then linked to its own. Unlike a rename, a link fails when
// the name is taken. After a crash there may be a leftover with a temporary
// name, but never half a file.
func (s *fileStore) write(root *os.Root, name string, body []byte) error {
	folder := path.Dir(name)
	if err := s.settle(root, folder); err != nil {
		return err
	}
	// Opened first: a folder that can't be synced must be found out before
	// there is a file in it.
	dir, err := root.Open(folder)
	if err != nil {
		return err
	}
	temporary := path.Join(folder, ".floeberg-"+rand.Text()+".tmp")
	if err := s.writeSynced(root, temporary, body); err != nil {
		return errors.Join(err, discard(root, temporary), dir.Close())
	}
	if err := s.publish(root, temporary, name); err != nil {
		return errors.Join(err, discard(root, temporary), dir.Close())
	}
	return syncClose(dir)
}

func (s *fileStore) writeSynced(root *os.Root, name string, body []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode&s.mask)
	if err != nil {
		return err
	}
	if _, err := f.Write(body); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// publish gives a finished file its name, unless that is taken.
func (s *fileStore) publish(root *os.Root, temporary, name string) error {
	err := root.Link(temporary, name)
	switch {
	case err == nil:
		return discard(root, temporary)
	case !linksUnsupported(err):
		return err
	}
	return s.claim(root, temporary, name)
}

// claim is publish for the network and removable file systems that have no
// links. The name is claimed first, with an empty file that nothing points to
// yet, and then replaced: still never over somebody else's file, but a crash
// between the two leaves an empty one.
func (s *fileStore) claim(root *os.Root, temporary, name string) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode&s.mask)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return errors.Join(err, discard(root, name))
	}
	if err := root.Rename(temporary, name); err != nil {
		return errors.Join(err, discard(root, name))
	}
	return nil
}

func linksUnsupported(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EMLINK)
}

func discard(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}

// settle makes sure that a folder exists and that its entry, and those of all
// folders above it, are durable: a synced file is lost all the same when the
// folder that holds its folder was never synced.
func (s *fileStore) settle(root *os.Root, folder string) error {
	if folder == "." {
		return nil
	}
	info, err := root.Stat(folder)
	switch {
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "mkdir", Path: folder, Err: syscall.ENOTDIR}
	case err == nil && s.isSettled(folder):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	missing := err != nil
	parent := path.Dir(folder)
	if err := s.settle(root, parent); err != nil {
		return err
	}
	if missing {
		// Somebody else may have been faster, which is as good.
		if err := root.Mkdir(folder, folderMode&s.mask); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	// Synced also when it was there: whoever made it may have crashed, or not
	// have come to syncing yet.
	if err := syncFolder(root, parent); err != nil && (missing || !errors.Is(err, fs.ErrPermission)) {
		// A folder that was there, in one that may not be read, is not ours to sync.
		return err
	}
	s.markSettled(folder)
	return nil
}

func (s *fileStore) isSettled(folder string) bool {
	s.settledMu.Lock()
	defer s.settledMu.Unlock()
	_, ok := s.settled[folder]
	return ok
}

func (s *fileStore) markSettled(folder string) {
	s.settledMu.Lock()
	defer s.settledMu.Unlock()
	if len(s.settled) >= maxSettled {
		clear(s.settled)
	}
	s.settled[folder] = struct{}{}
}

func syncFolder(root *os.Root, folder string) error {
	f, err := root.Open(folder)
	if err != nil {
		return err
	}
	return syncClose(f)
}

func syncPath(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return syncClose(f)
}

// syncClose makes a folder's entries durable. A file system that can't sync
// folders says EINVAL or "not supported"; its entries are as durable as they get.
func syncClose(folder *os.File) error {
	err := folder.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, folder.Close())
}
