package command

import "fmt"

// Commands have versions, so that programs of different ages share a log. Each
// version adds kinds and fields to what the ones before it had and takes nothing
// away: a program applies all versions from the first to its newest.
//
// The cluster has one version in use, part of the replicated state, and every
// entry says in its first byte which one was in use when it was written. It is
// raised by a command (RaiseVersion) once all members apply the newer one; a
// program that does not stops at that command, or at the first entry of that version.
const (
	// FirstVersion is the version in use in a new cluster.
	FirstVersion uint32 = 1
	// NewestVersion is the newest version that this program applies. What came with
	// each is listed in fsm/DESIGN.md.
	NewestVersion = FirstVersion + ahead

	// maxVersion is what the first byte of an entry can hold.
	maxVersion uint32 = 255
)

// checkVersion refuses a version that an entry can't say.
func checkVersion(version uint32) error {
	if version < FirstVersion || version > maxVersion {
		return fmt.Errorf("%w: version %d", ErrInvalid, version)
	}
	return nil
}
