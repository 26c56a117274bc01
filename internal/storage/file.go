package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Permissions of what this store makes, cut by the process's umask. They are
// the widest on purpose: engines that run as other users write their data into
// the same folders, and whether they may is for the operator's umask to say.
const (
	folderMode = 0o777
	fileMode   = 0o666
	// privateMode is what is left of them in a private store.
	privateMode = 0o700
)

// fileStore keeps objects in files below one root folder.
//
// The root is opened anew for each call, so that a file system that is mounted
// again, or a folder that is replaced, is seen. All names are resolved beneath
// it by os.Root: a symbolic link that leads out of it is refused even when it
// is put there between check and use.
type fileStore struct {
	root string // canonical location
	path string // of the root folder
	mask fs.FileMode
	lane *lane

	// settled holds folders whose own entries are known to be durable.
	settledMu sync.Mutex
	settled   map[string]struct{}
}

// maxSettled bounds the memory for settled folders; losing it costs some syncs.
const maxSettled = 4096

func openFileStore(root string, cfg Config) (*fileStore, error) {
	s := &fileStore{
		root:    root,
		path:    filePath(root),
		mask:    fs.ModePerm,
		lane:    &lane{gate: newGate(cfg.MaxConcurrent, cfg.MaxQueued), timeouts: cfg.Timeouts},
		settled: make(map[string]struct{}),
	}
	if cfg.Private {
		s.mask = privateMode
	}
	if err := s.makeRoot(s.path); err != nil {
		return nil, fmt.Errorf("%w: folder of %q: %w", ErrConfig, root, err)
	}
	return s, nil
}

// makeRoot creates the root folder, and those above it, durably.
func (s *fileStore) makeRoot(folder string) error {
	info, err := os.Stat(folder)
	switch {
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "open", Path: folder, Err: syscall.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(folder)
	if err := s.makeRoot(parent); err != nil {
		return err
	}
	if err := os.Mkdir(folder, folderMode&s.mask); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncPath(parent)
}

// in runs an attempt with the root opened and the location's path beneath it.
func in[T any](ctx context.Context, s *fileStore, location string, size int64, attempt func(*os.Root, string, *budget) (T, error)) (T, error) {
	name := s.name(location)
	return run(ctx, s.lane, size, func(_ context.Context, b *budget) (T, error) {
		root, err := os.OpenRoot(s.path)
		if err != nil {
			var zero T
			return zero, rootFailure(err)
		}
		defer root.Close()
		value, err := attempt(root, name, b)
		return value, classifyFile(err)
	})
}

// name is the path of a location relative to the root.
func (s *fileStore) name(location string) string {
	if location == s.root {
		return "."
	}
	return strings.TrimPrefix(location, strings.TrimSuffix(s.root, "/")+"/")
}

func (s *fileStore) put(ctx context.Context, location string, body []byte) error {
	_, err := in(ctx, s, location, int64(len(body)), func(root *os.Root, name string, _ *budget) (struct{}, error) {
		return struct{}{}, s.write(root, name, body)
	})
	return notMissing(err)
}

func (s *fileStore) get(ctx context.Context, location string, maxBytes int64) ([]byte, error) {
	return in(ctx, s, location, 0, func(root *os.Root, name string, b *budget) ([]byte, error) {
		// Looked at before it is opened: opening a named pipe would wait for a
		// writer that never comes.
		info, err := root.Stat(name)
		if err != nil {
			return nil, noFolder(err)
		}
		if !info.Mode().IsRegular() {
			return nil, ErrNotFound
		}
		f, err := root.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		b.extend(info.Size())
		return readAtMost(f, info.Size(), maxBytes)
	})
}

func (s *fileStore) exists(ctx context.Context, location string) (bool, error) {
	found, err := in(ctx, s, location, 0, func(root *os.Root, name string, _ *budget) (bool, error) {
		info, err := root.Stat(name)
		return err == nil && info.Mode().IsRegular(), noFolder(err)
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return found, err
}

func (s *fileStore) remove(ctx context.Context, location string) error {
	_, err := in(ctx, s, location, 0, func(root *os.Root, name string, _ *budget) (struct{}, error) {
		return struct{}{}, removeFile(root, name)
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// removeFile removes one file; one that is missing, or a folder, is ErrNotFound.
func removeFile(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if err != nil {
		return noFolder(err)
	}
	if info.IsDir() {
		// Removing it would take an empty folder that somebody may need.
		return ErrNotFound
	}
	// Not synced: a file that a power loss brings back is an orphan, no loss.
	return root.Remove(name)
}

// filesAtOnce is how many files one attempt removes.
const filesAtOnce = 128

func (s *fileStore) removeMany(ctx context.Context, locations []string) error {
	for chunk := range slices.Chunk(locations, filesAtOnce) {
		names := make([]string, len(chunk))
		for i, location := range chunk {
			names[i] = s.name(location)
		}
		_, err := in(ctx, s, s.root, 0, func(root *os.Root, _ string, b *budget) (struct{}, error) {
			for _, name := range names {
				if err := classifyFile(removeFile(root, name)); err != nil && !errors.Is(err, ErrNotFound) {
					return struct{}{}, fmt.Errorf("%q: %w", name, err)
				}
				b.extend(0) // Each has as long as one alone.
			}
			return struct{}{}, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *fileStore) ensureFolder(ctx context.Context, location string) error {
	_, err := in(ctx, s, location, 0, func(root *os.Root, name string, _ *budget) (struct{}, error) {
		return struct{}{}, s.settle(root, name)
	})
	return notMissing(err)
}

// list walks one folder at a time, each read within a budget of its own, so
// that a consumer may take its time between two objects.
func (s *fileStore) list(ctx context.Context, location string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		base := strings.TrimSuffix(s.root, "/") + "/"
		open := []string{location}
		for len(open) > 0 {
			folder := open[len(open)-1]
			open = open[:len(open)-1]
			infos, err := in(ctx, s, folder, 0, readFolder)
			if errors.Is(err, ErrNotFound) {
				continue // Nothing there, or it went away meanwhile.
			}
			if err != nil {
				yield(Object{}, err)
				return
			}
			var below []string
			for _, info := range infos {
				name := base + path.Join(s.name(folder), info.Name())
				switch {
				case info.IsDir():
					below = append(below, name)
				case info.Mode().IsRegular():
					if !yield(Object{Location: name, Size: info.Size(), Modified: info.ModTime()}, nil) {
						return
					}
				}
			}
			slices.Reverse(below)
			open = append(open, below...)
		}
	}
}

// readFolder returns what is in a folder, in the order of names, without
// following links; nothing if it is a file.
func readFolder(root *os.Root, name string, _ *budget) ([]fs.FileInfo, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, noFolder(err)
	}
	if name != "." && !info.IsDir() {
		return nil, nil
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	infos := make([]fs.FileInfo, 0, len(entries))
	for _, entry := range entries {
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // Deleted since it was read.
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b fs.FileInfo) int { return strings.Compare(a.Name(), b.Name()) })
	return infos, nil
}

func (s *fileStore) close() error { return nil }

// rootFailure says that the root itself can't be opened. It is not created
// again: where it was, another disk may have been mounted.
func rootFailure(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return &failure{kind: ErrDenied, cause: err}
	}
	return &failure{kind: ErrUnavailable, cause: fmt.Errorf("the warehouse's folder can't be opened: %w", err)}
}

// noFolder is for who looks for something below what is a file: it is not there.
func noFolder(err error) error {
	if errors.Is(err, syscall.ENOTDIR) {
		return ErrNotFound
	}
	return err
}

// notMissing is for who makes something: that a thing is missing can only mean
// that a folder went away between two steps.
func notMissing(err error) error {
	if errors.Is(err, ErrNotFound) {
		return &failure{kind: ErrUnavailable, cause: errors.New("its folder was removed meanwhile")}
	}
	return err
}

// classifyFile gives an error of the file system its class.
func classifyFile(err error) error {
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrExists) || errors.Is(err, ErrTooLarge) {
		return err
	}
	var errno syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrNotFound
	case errors.Is(err, fs.ErrExist):
		return ErrExists
	case !errors.As(err, &errno):
		// os.Root has no sentinel for a link that leads out, and says nothing
		// else that is not an error of the system.
		return &failure{kind: ErrOutside, cause: err}
	case errors.Is(err, fs.ErrPermission), errno == syscall.EROFS, errno == syscall.ELOOP:
		return &failure{kind: ErrDenied, cause: err}
	case errno == syscall.ENOTDIR, errno == syscall.EISDIR:
		return &failure{kind: ErrDenied, cause: fmt.Errorf("a file is where a folder must be, or a folder where a file must be: %w", err)}
	case errno == syscall.ENAMETOOLONG:
		return &failure{kind: ErrInvalidLocation, cause: err}
	case errno == syscall.EFBIG:
		return &failure{kind: ErrTooLarge, cause: err}
	default:
		return &failure{kind: ErrUnavailable, cause: err}
	}
}
