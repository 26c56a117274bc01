//go:build unix

package app

import "golang.org/x/sys/unix"

// openFiles is how many files and connections this process may have open; 0 where
// nobody says.
func openFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	// "Unlimited" is the largest number that there is.
	return int(min(limit.Cur, 1<<30))
}
