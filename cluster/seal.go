package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
	"github.com/zeebo/xxh3"
)

// What raft keeps is stored with a checksum each, because bolt has none of its
// own below its two first pages:
//
//	entry            Extensions on disk = the entry's own extensions | seal
//	term, vote       value on disk      = value | seal
//	seal             magic 4 | xxh3 of everything else 8
//
// Raft and other nodes never see a seal: it is added by each write and taken off
// by each read. Programs from before seals don't look at extensions, and take a
// term from the first eight bytes, so they can still read it all.
const (
	sealMagic = "\xf1sum"
	sealBytes = len(sealMagic) + 8
)

var (
	errNoSeal  = errors.New("has no checksum")
	errBadSeal = errors.New("fails its checksum")
)

// sealEntry returns an entry as it is stored.
func sealEntry(entry *raft.Log) *raft.Log {
	sealed := *entry
	sealed.Extensions = make([]byte, 0, len(entry.Extensions)+sealBytes)
	sealed.Extensions = append(sealed.Extensions, entry.Extensions...)
	sealed.Extensions = appendSeal(sealed.Extensions, hashEntry(entry))
	return &sealed
}

// unsealEntry checks an entry that was stored under index and makes it what it
// was. One without a seal passes where seals are not required.
func unsealEntry(entry *raft.Log, index uint64, required bool) error {
	if entry.Index != index {
		return fmt.Errorf("%w: it says that it is entry %d", errBadSeal, entry.Index)
	}
	inner, seal, ok := cutSeal(entry.Extensions)
	if !ok {
		// Nothing else writes extensions: what is there is what is left of a seal.
		if required || len(entry.Extensions) > 0 {
			return errNoSeal
		}
		return nil
	}
	entry.Extensions = inner
	if hashEntry(entry) != seal {
		return errBadSeal
	}
	return nil
}

func hashEntry(entry *raft.Log) uint64 {
	fixed := make([]byte, 0, 5*8+1)
	fixed = binary.BigEndian.AppendUint64(fixed, entry.Index)
	fixed = binary.BigEndian.AppendUint64(fixed, entry.Term)
	fixed = append(fixed, byte(entry.Type))
	fixed = binary.BigEndian.AppendUint64(fixed, uint64(entry.AppendedAt.Unix()))
	fixed = binary.BigEndian.AppendUint64(fixed, uint64(entry.AppendedAt.Nanosecond()))
	fixed = binary.BigEndian.AppendUint64(fixed, uint64(len(entry.Extensions)))
	var h xxh3.Hasher
	for _, part := range [][]byte{fixed, entry.Extensions, entry.Data} {
		_, _ = h.Write(part) // never fails
	}
	return h.Sum64()
}

// sealValue returns a value as it is stored under key.
func sealValue(key, value []byte) []byte {
	return appendSeal(bytes.Clone(value), hashValue(key, value))
}

// unsealValue is unsealEntry for a value.
func unsealValue(key, stored []byte, required bool) ([]byte, error) {
	value, seal, ok := cutSeal(stored)
	switch {
	case !ok && required:
		return nil, errNoSeal
	case !ok:
		return stored, nil
	case hashValue(key, value) != seal:
		return nil, errBadSeal
	}
	return value, nil
}

func hashValue(key, value []byte) uint64 {
	// The length keeps key and value apart.
	whole := binary.BigEndian.AppendUint64(nil, uint64(len(key)))
	return xxh3.Hash(append(append(whole, key...), value...))
}

func appendSeal(to []byte, sum uint64) []byte {
	return binary.BigEndian.AppendUint64(append(to, sealMagic...), sum)
}

// cutSeal takes the seal off the end; ok is false where there is none.
func cutSeal(stored []byte) (inner []byte, sum uint64, ok bool) {
	at := len(stored) - sealBytes
	if at < 0 || string(stored[at:at+len(sealMagic)]) != sealMagic {
		return stored, 0, false
	}
	if at > 0 {
		inner = stored[:at:at]
	}
	return inner, binary.BigEndian.Uint64(stored[at+len(sealMagic):]), true
}
