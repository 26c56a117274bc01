package fsm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The machine's folder:
//
//	LOCK          held while a machine is open
//	FORMAT        which layout this is
//	CURRENT       which of the state folders counts
//	state-000001/ a database; another one only while a restore builds it
const (
	lockFile    = "LOCK"
	formatFile  = "FORMAT"
	currentFile = "CURRENT"
	statePrefix = "state-"

	formatMagic = "floeberg state "
)

// FolderFormat is the newest layout of the machine's folder that this program knows.
const FolderFormat = 1

// folder is the machine's folder on disk.
type folder struct {
	fs   vfs.FS
	dir  string
	lock io.Closer
}

func (f *folder) path(name string) string { return f.fs.PathJoin(f.dir, name) }

// openFolder locks the folder, checks that this program can read it and removes
// what an interrupted restore left. It returns the name of the state that counts.
func openFolder(fs vfs.FS, dir string) (_ *folder, current string, err error) {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, "", fmt.Errorf("fsm: make data folder: %w", err)
	}
	f := &folder{fs: fs, dir: dir}
	f.lock, err = fs.Lock(f.path(lockFile))
	if err != nil {
		return nil, "", fmt.Errorf("fsm: data folder %s is in use: %w", dir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	if err := f.checkFormat(); err != nil {
		return nil, "", err
	}
	current, err = f.readCurrent()
	if err != nil {
		return nil, "", err
	}
	if err := f.removeLeftovers(current); err != nil {
		return nil, "", err
	}
	return f, current, f.ensure(current)
}

// ensure makes a state folder that is not there and syncs the folders above it:
// the storage engine only syncs what is in its own.
func (f *folder) ensure(name string) error {
	if err := f.fs.MkdirAll(f.path(name), 0o700); err != nil {
		return fmt.Errorf("fsm: make %s: %w", f.path(name), err)
	}
	if err := f.sync(f.dir); err != nil {
		return err
	}
	return f.sync(f.fs.PathDir(f.dir))
}

func (f *folder) close() error {
	if err := f.lock.Close(); err != nil {
		return fmt.Errorf("fsm: unlock data folder: %w", err)
	}
	return nil
}

func (f *folder) checkFormat() error {
	text, err := f.read(formatFile)
	if errors.Is(err, os.ErrNotExist) {
		return f.replace(formatFile, formatMagic+strconv.Itoa(FolderFormat)+"\n")
	}
	if err != nil {
		return err
	}
	number, ok := strings.CutPrefix(strings.TrimSpace(text), formatMagic)
	format, err := strconv.Atoi(number)
	if !ok || err != nil || format < 1 {
		return fmt.Errorf("%w: %s does not say which format the folder has", ErrCorrupt, f.path(formatFile))
	}
	if format > FolderFormat {
		return fmt.Errorf("%w: data folder %s has format %d, this program reads up to %d",
			ErrNewerFormat, f.dir, format, FolderFormat)
	}
	return nil
}

// readCurrent returns the state folder that counts. In a new folder it names the
// first before there is one: a state folder that nothing points to is then never
// mistaken for a new node.
func (f *folder) readCurrent() (string, error) {
	text, err := f.read(currentFile)
	if errors.Is(err, os.ErrNotExist) {
		states, err := f.states()
		if err != nil {
			return "", err
		}
		if len(states) > 0 {
			return "", fmt.Errorf("%w: %s is missing but there is %s; put it back, or empty the folder to fetch the state anew",
				ErrCorrupt, f.path(currentFile), f.path(states[0]))
		}
		first := stateName(1)
		return first, f.replace(currentFile, first+"\n")
	}
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(text)
	if _, ok := stateNumber(name); !ok {
		return "", fmt.Errorf("%w: %s names no state folder", ErrCorrupt, f.path(currentFile))
	}
	return name, nil
}

// setCurrent makes another state the one that counts, in one step and durably.
func (f *folder) setCurrent(name string) error {
	return f.replace(currentFile, name+"\n")
}

// newState makes the folder for the state after current and returns its name.
func (f *folder) newState(current string) (string, error) {
	number, ok := stateNumber(current)
	if !ok {
		return "", fmt.Errorf("%w: %q is no state folder", ErrCorrupt, current)
	}
	name := stateName(number + 1)
	if err := f.fs.RemoveAll(f.path(name)); err != nil {
		return "", fmt.Errorf("fsm: remove %s: %w", f.path(name), err)
	}
	return name, f.ensure(name)
}

func (f *folder) removeLeftovers(current string) error {
	states, err := f.states()
	if err != nil {
		return err
	}
	for _, name := range states {
		if name == current {
			continue
		}
		if err := f.remove(name); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) remove(name string) error {
	if err := f.fs.RemoveAll(f.path(name)); err != nil {
		return fmt.Errorf("fsm: remove %s: %w", f.path(name), err)
	}
	return nil
}

func (f *folder) states() ([]string, error) {
	names, err := f.fs.List(f.dir)
	if err != nil {
		return nil, fmt.Errorf("fsm: list %s: %w", f.dir, err)
	}
	var states []string
	for _, name := range names {
		if _, ok := stateNumber(name); ok {
			states = append(states, name)
		}
	}
	return states, nil
}

func stateName(number uint64) string { return fmt.Sprintf("%s%06d", statePrefix, number) }

func stateNumber(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, statePrefix)
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil && stateName(number) == name
}

func (f *folder) read(name string) (string, error) {
	file, err := f.fs.Open(f.path(name))
	if err != nil {
		return "", fmt.Errorf("fsm: open %s: %w", f.path(name), err)
	}
	const enough = 1 << 10
	data, err := io.ReadAll(io.LimitReader(file, enough))
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("fsm: read %s: %w", f.path(name), err)
	}
	return string(data), nil
}

// replace writes a small file such that after a power loss it is the old or the
// new one.
func (f *folder) replace(name, text string) error {
	temp := f.path(name + ".tmp")
	file, err := f.fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("fsm: write %s: %w", temp, err)
	}
	_, err = io.WriteString(file, text)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("fsm: write %s: %w", temp, err)
	}
	if err := f.fs.Rename(temp, f.path(name)); err != nil {
		return fmt.Errorf("fsm: replace %s: %w", f.path(name), err)
	}
	return f.sync(f.dir)
}

func (f *folder) sync(path string) error {
	dir, err := f.fs.OpenDir(path)
	if err != nil {
		return fmt.Errorf("fsm: open %s: %w", path, err)
	}
	err = dir.Sync()
	if err := errors.Join(err, dir.Close()); err != nil {
		return fmt.Errorf("fsm: sync %s: %w", path, err)
	}
	return nil
}
