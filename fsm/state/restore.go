package state

import "encoding/binary"

// What is kept of a restore.
const (
	restoreItself = 0x00
	restorePiece  = 0x01
)

// RestoreKey is where the last restore is kept.
func RestoreKey() []byte { return []byte{byte(SpaceRestore), restoreItself} }

// RestorePieceKey is where a piece of the snapshot is kept that is being restored.
func RestorePieceKey(n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{byte(SpaceRestore), restorePiece}, n)
}

// RestorePieces is the range of all pieces, in their order.
func RestorePieces() KeyRange { return prefixRange([]byte{byte(SpaceRestore), restorePiece}) }

// Restore returns the last restore and its revision.
func (v *View) Restore() (*Restore, uint64, bool, error) {
	rec := &Restore{}
	rev, ok, err := load(v, RestoreKey(), rec)
	return rec, rev, ok, err
}
