package fsm

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// The numbers below are part of the replicated format: two nodes with different
// ones end with different bytes. A change needs a new log command that switches
// all nodes at one index.
const (
	// keepEvents is how many of the last events stay.
	keepEvents = 4096
	// sweepPerCommand bounds how many expired keys one command of an entry removes,
	// so that a great many expiring together can't stall the log. It is well above
	// what one transaction can leave behind, so sweeping keeps up.
	sweepPerCommand = 32
	// identityGraceMs is how long past its deadline an identity is remembered. A
	// proposer stops at the deadline, but its last copy may still be on its way.
	identityGraceMs = 60_000
	// identityStepMs rounds the end of identities up, so that those of one second
	// are swept together instead of a few with every entry.
	identityStepMs = 1_000
	// restoreRevisions is how far a restore moves the revision. What came after the
	// restored state, in the cluster that it is of, had revisions too: none of
	// them is given again, since caches and clients take an equal one for equal content.
	restoreRevisions = 1 << 32
)

// valueVersion is the first byte of every stored value: how the rest is laid out.
//
//	version 1 | flags 1 | revision 8 | expires_ms 8, if flagExpires | data
const (
	valueVersion   = 1
	flagExpires    = 0x01
	valueFixed     = 2 + 8
	valueExpiresAt = valueFixed
)

type storedValue struct {
	revision  uint64
	expiresMs uint64
	data      []byte
}

func appendValue(dst []byte, v storedValue) []byte {
	var flags byte
	if v.expiresMs != 0 {
		flags |= flagExpires
	}
	dst = append(dst, valueVersion, flags)
	dst = binary.BigEndian.AppendUint64(dst, v.revision)
	if v.expiresMs != 0 {
		dst = binary.BigEndian.AppendUint64(dst, v.expiresMs)
	}
	return append(dst, v.data...)
}

// parseValue reads a stored value; its data points into raw.
func parseValue(raw []byte) (storedValue, error) {
	if len(raw) < valueFixed || raw[0] != valueVersion || raw[1]&^flagExpires != 0 {
		return storedValue{}, fmt.Errorf("%w: stored value of an unknown layout", ErrCorrupt)
	}
	v := storedValue{revision: binary.BigEndian.Uint64(raw[2:]), data: raw[valueFixed:]}
	if raw[1]&flagExpires == 0 {
		return v, nil
	}
	if len(v.data) < 8 {
		return storedValue{}, fmt.Errorf("%w: stored value cut short", ErrCorrupt)
	}
	v.expiresMs = binary.BigEndian.Uint64(raw[valueExpiresAt:])
	v.data = v.data[8:]
	return v, nil
}

// live tells whether a value counts at a moment of replicated time.
func (v storedValue) live(nowMs uint64) bool {
	return v.expiresMs == 0 || v.expiresMs > nowMs
}

// The expiry index: one row without a value per key that expires, in order of
// the moment at which it does.
func appendExpiryKey(dst []byte, expiresMs uint64, key []byte) []byte {
	dst = append(dst, byte(state.SpaceExpiry))
	dst = binary.BigEndian.AppendUint64(dst, expiresMs)
	return append(dst, key...)
}

func parseExpiryKey(row []byte) (expiresMs uint64, key []byte, err error) {
	if len(row) < 10 || row[0] != byte(state.SpaceExpiry) {
		return 0, nil, fmt.Errorf("%w: malformed row %x of the expiry index", ErrCorrupt, row)
	}
	return binary.BigEndian.Uint64(row[1:]), row[9:], nil
}

func appendIdentityKey(dst, id []byte) []byte {
	return append(append(dst, byte(state.SpaceIdentity)), id...)
}

// identityEnd is the moment from which on a transaction's identity may go.
func identityEnd(deadlineMs uint64) uint64 {
	if deadlineMs > math.MaxUint64-identityGraceMs-identityStepMs {
		return math.MaxUint64
	}
	return (deadlineMs + identityGraceMs + identityStepMs) / identityStepMs * identityStepMs
}

// identityVersion is the first byte of a remembered outcome.
//
//	version 1 | outcome 1 | failed 4 | revision 8 | index 8
const (
	identityVersion = 1
	identityBytes   = 1 + 1 + 4 + 8 + 8
)

func appendIdentity(dst []byte, r command.Result) []byte {
	dst = append(dst, identityVersion, byte(r.Outcome))
	dst = binary.BigEndian.AppendUint32(dst, uint32(int32(r.Failed)))
	dst = binary.BigEndian.AppendUint64(dst, r.Revision)
	return binary.BigEndian.AppendUint64(dst, r.Index)
}

func parseIdentity(raw []byte) (command.Result, error) {
	if len(raw) != identityBytes || raw[0] != identityVersion {
		return command.Result{}, fmt.Errorf("%w: remembered outcome of an unknown layout", ErrCorrupt)
	}
	return command.Result{
		Outcome:  command.Outcome(raw[1]),
		Failed:   int(int32(binary.BigEndian.Uint32(raw[2:]))),
		Revision: binary.BigEndian.Uint64(raw[6:]),
		Index:    binary.BigEndian.Uint64(raw[14:]),
	}, nil
}

func appendEventKey(dst []byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, byte(state.SpaceEvent)), seq)
}

// counters is the machine's replicated bookkeeping: one row of SpaceSystem.
//
//	version 1 | revision 8 | time_ms 8 | events 8
type counters struct {
	// revision of the last transaction that wrote something.
	revision uint64
	// timeMs is replicated time.
	timeMs uint64
	// events is how many there have been; the last one's number.
	events uint64
}

const (
	countersVersion = 1
	countersBytes   = 1 + 3*8
)

var countersKey = []byte{byte(state.SpaceSystem), 0x01}

func (c counters) append(dst []byte) []byte {
	dst = append(dst, countersVersion)
	dst = binary.BigEndian.AppendUint64(dst, c.revision)
	dst = binary.BigEndian.AppendUint64(dst, c.timeMs)
	return binary.BigEndian.AppendUint64(dst, c.events)
}

func parseCounters(raw []byte) (counters, error) {
	if len(raw) != countersBytes || raw[0] != countersVersion {
		return counters{}, fmt.Errorf("%w: counters of an unknown layout", ErrCorrupt)
	}
	return counters{
		revision: binary.BigEndian.Uint64(raw[1:]),
		timeMs:   binary.BigEndian.Uint64(raw[9:]),
		events:   binary.BigEndian.Uint64(raw[17:]),
	}, nil
}

// versionKey is where the command version in use is kept: the other row of
// SpaceSystem. A cluster in which none was raised has no such row.
//
//	layout 1 | version 4
var versionKey = []byte{byte(state.SpaceSystem), 0x02}

const (
	versionLayout = 1
	versionBytes  = 1 + 4
)

func appendVersion(dst []byte, version uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, versionLayout), version)
}

func parseVersion(raw []byte) (uint32, error) {
	if len(raw) != versionBytes || raw[0] != versionLayout {
		return 0, fmt.Errorf("%w: command version of an unknown layout", ErrCorrupt)
	}
	return binary.BigEndian.Uint32(raw[1:]), nil
}

// position is where the state stands. It is kept in one row of SpaceMeta,
// written in the same batch as what it speaks of.
//
//	version 1 | index 8 | term 8 | checksum 16
type position struct {
	index, term uint64
	sum         Sum
}

const (
	positionVersion = 1
	positionBytes   = 1 + 8 + 8 + 16
)

var positionKey = []byte{byte(state.SpaceMeta), 0x01}

func (p position) append(dst []byte) []byte {
	dst = append(dst, positionVersion)
	dst = binary.BigEndian.AppendUint64(dst, p.index)
	dst = binary.BigEndian.AppendUint64(dst, p.term)
	sum := p.sum.Bytes()
	return append(dst, sum[:]...)
}

func parsePosition(raw []byte) (position, error) {
	if len(raw) != positionBytes || raw[0] != positionVersion {
		return position{}, fmt.Errorf("%w: applied index of an unknown layout", ErrCorrupt)
	}
	return position{
		index: binary.BigEndian.Uint64(raw[1:]),
		term:  binary.BigEndian.Uint64(raw[9:]),
		sum:   sumFromBytes([16]byte(raw[17:])),
	}, nil
}
