//go:build unix

package app

import "golang.org/x/sys/unix"

// roomAt is how many bytes may still be written to the file system of a folder.
func roomAt(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // of another type on other systems
}
