//go:build unix

package app

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lock takes the file for this process: until it is closed, or the process ends
// in whatever way.
func lock(file *os.File) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrFolderInUse
	}
	if err != nil {
		return fmt.Errorf("locking it: %w", err)
	}
	return nil
}
