package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// name is what the mounts are called in the system's list.
const name = "floeberg-test-disk"

// Disk is a folder whose file system can fail.
type Disk struct {
	// Dir is where it is mounted.
	Dir string

	state  state
	server *fuse.Server
}

// Start mounts a disk at a folder for the time of a test; its contents are in
// another one, which must be on a disk that works. Where that is not possible the
// test is skipped, or fails where FLOEBERG_TOOLS_REQUIRED is set. What is started
// on the disk must have ended when the test does.
func Start(t testing.TB, dir, contents string) *Disk {
	t.Helper()
	d, err := mount(dir, contents)
	if err != nil {
		if os.Getenv("FLOEBERG_TOOLS_REQUIRED") != "" {
			t.Fatalf("this test needs a disk of its own: %v", err)
		}
		t.Skipf("this test needs a disk of its own: %v", err)
	}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Errorf("taking the disk away: %v", err)
		}
	})
	return d
}

func mount(dir, contents string) (*Disk, error) {
	if err := errors.Join(reap(), os.MkdirAll(dir, 0o700), os.MkdirAll(contents, 0o700)); err != nil {
		return nil, err
	}
	root, err := fs.NewLoopbackRoot(contents)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", contents, err)
	}
	d := &Disk{Dir: dir}
	second := time.Second
	d.server, err = fs.Mount(dir, &node{root.(*fs.LoopbackNode), &d.state}, &fs.Options{
		// Nobody else changes the contents.
		EntryTimeout: &second, AttrTimeout: &second,
		MountOptions: fuse.MountOptions{
			Name: name, FsName: name,
			// fusermount is a program that may not be there.
			DirectMountStrict: true,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("mounting a disk at %s (it needs root and /dev/fuse): %w", dir, err)
	}
	return d, nil
}

// Set makes the disk as good or bad as f says.
func (d *Disk) Set(f Faults) { d.state.set(f) }

// Met is how many requests have met an error so far.
func (d *Disk) Met() int {
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	return d.state.met
}

func (d *Disk) close() error {
	d.Set(Faults{})
	if err := d.server.Unmount(); err != nil {
		// Somebody has a file open: the folder is free all the same, and the mount is
		// gone with the last file.
		return errors.Join(err, syscall.Unmount(d.Dir, syscall.MNT_DETACH))
	}
	return nil
}

// reap takes away the mounts of test processes that were killed: nobody answers
// there any more.
func reap() error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(string(mounts)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != name {
			continue
		}
		if _, err := os.Stat(filepath.Join(words[1], ".")); errors.Is(err, syscall.ENOTCONN) {
			errs = append(errs, syscall.Unmount(words[1], syscall.MNT_DETACH))
		}
	}
	return errors.Join(errs...)
}
