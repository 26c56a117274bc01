package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// The contents of a data folder.
const (
	lockFile      = "lock"
	formatFile    = "format"
	nodeIDFile    = "node-id"
	raftFolder    = "raft"
	stateFolder   = "state"
	scratchFolder = "scratch" // of no worth after the process that wrote it
	adminKeyFile  = "admin.key"
	pendingSuffix = ".pending"
)

// ErrFolderInUse is returned when another process works in the data folder.
var ErrFolderInUse = errors.New("the data folder is in use by another process")

// folder is the data folder, held by this process alone.
type folder struct {
	path string
	lock *os.File
}

// openFolder makes the data folder where it is missing, closes it to other
// users, takes it for this process until close, and checks that this program
// knows what is in it.
func openFolder(path, program string) (*folder, error) {
	if err := makeFolder(path); err != nil {
		return nil, fmt.Errorf("data-dir: making the folder: %w; make it, or choose another with --data-dir", err)
	}
	if err := closeToOthers(path); err != nil {
		return nil, fmt.Errorf("data-dir: %w", err)
	}
	name := filepath.Join(path, lockFile)
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data-dir: %w", err)
	}
	if err := lock(file); err != nil {
		err = fmt.Errorf("data-dir: %w%s: %s; stop that process, or choose another with --data-dir", err, holder(file), path)
		return nil, errors.Join(err, file.Close())
	}
	// Only for whoever reads the message above: the lock itself is the kernel's,
	// and gone with the process.
	if err := file.Truncate(0); err == nil {
		_, err = fmt.Fprintf(file, "%d\n", os.Getpid())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("data-dir: %w", err), file.Close())
		}
	}
	f := &folder{path: path, lock: file}
	if err := f.checkFormat(program); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// makeFolder makes the folder where it is missing, so that a power loss does not
// take its name away with everything in it.
func makeFolder(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return syncParent(path)
}

// closeToOthers takes other users' rights on the folder away: it holds hashes of
// keys and all metadata, whatever the umask was. A folder with other things in it
// is left alone: closing /tmp or a home folder by a slip would lock its users out.
func closeToOthers(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() == 0o700 {
		return err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	ours := slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return slices.Contains([]string{lockFile, formatFile, raftFolder, stateFolder, adminKeyFile, adminKeyFile + pendingSuffix}, e.Name())
	})
	if len(entries) > 0 && !ours {
		return fmt.Errorf("%s is open to other users and holds files that are not floeberg's; "+
			"choose an empty folder, or close this one with chmod 700", path)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return fmt.Errorf("closing the folder to other users: %w", err)
	}
	return nil
}

// holder names the process that holds the lock, if it wrote its number down.
func holder(file *os.File) string {
	var pid int
	if _, err := fmt.Fscan(file, &pid); err != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}

func (f *folder) in(name string) string { return filepath.Join(f.path, name) }

func (f *folder) close() error { return f.lock.Close() }
