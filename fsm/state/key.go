package state

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Space is the first byte of a key: one keyspace per kind of entity. Values are
// stored, so they are never renumbered.
type Space byte

// The keyspaces.
const (
	// SpaceMeta is the machine's own bookkeeping: not covered by the checksum, not in snapshots.
	SpaceMeta Space = 0x01
	// SpaceSystem is replicated bookkeeping: revision, replicated time, event counter.
	SpaceSystem Space = 0x02
	// SpaceExpiry orders the keys that expire by the moment at which they do.
	SpaceExpiry Space = 0x03
	// SpaceIdentity remembers the outcome of recent transactions.
	SpaceIdentity Space = 0x04
	// SpaceEvent keeps the last events in order.
	SpaceEvent Space = 0x05

	// SpaceCluster is the identity of the cluster.
	SpaceCluster Space = 0x10
	// SpaceWarehouse is warehouses by name.
	SpaceWarehouse Space = 0x11
	// SpaceNamespace is namespaces by warehouse, depth and path.
	SpaceNamespace Space = 0x12
	// SpaceTable is tables by warehouse, namespace and name.
	SpaceTable Space = 0x13
	// SpaceView is views by warehouse, namespace and name.
	SpaceView Space = 0x14
	// SpaceHead is the head of a table's metadata by the table's id.
	SpaceHead Space = 0x15
	// SpacePart is the elements of a table's growing arrays by id, array and ordinal.
	SpacePart Space = 0x16
	// SpaceLocation is table and view locations by their path: who lives there.
	SpaceLocation Space = 0x17
	// SpaceAPIKey is API keys by the hash of their secret.
	SpaceAPIKey Space = 0x18
	// SpaceAnswer is idempotency records by principal and key.
	SpaceAnswer Space = 0x19
	// SpaceTask is background jobs by id.
	SpaceTask Space = 0x1A
	// SpaceUpload is parts that no table owns yet, by the id that they are kept under.
	SpaceUpload Space = 0x20
	// SpacePurge is locations whose files are being deleted, with the task that does it.
	SpacePurge Space = 0x1B
	// SpaceMember is what is remembered of nodes besides Raft's configuration, by id.
	SpaceMember Space = 0x21
	// SpaceRestore is the restoring of a backup: what is known of the last one, and
	// the pieces of the snapshot while it is brought in.
	SpaceRestore Space = 0x22
	// SpaceAudit is how far the audit logs of nodes have come, by node and sink.
	SpaceAudit Space = 0x2A
	// SpacePolicySet is the heads of policy sets by scope: which version is in force.
	SpacePolicySet Space = 0x30
	// SpacePolicyVersion is the texts of policy sets by scope and version.
	SpacePolicyVersion Space = 0x31
)

// ErrBadKey is returned when bytes are not a key of the expected keyspace.
var ErrBadKey = errors.New("state: malformed key")

// Names may hold any byte, so each is written with 0x00 escaped as 0x00 0xFF
// and ended by 0x00 0x01: keys then sort as the lists of their names do, and no
// name can reach into the next one.
const (
	escape     = 0x00
	escapedNul = 0xFF
	terminator = 0x01
)

func appendName(key []byte, name string) []byte {
	return append(appendEscaped(key, name), escape, terminator)
}

func appendEscaped(key []byte, name string) []byte {
	for i := 0; i < len(name); i++ {
		if name[i] == escape {
			key = append(key, escape, escapedNul)
			continue
		}
		key = append(key, name[i])
	}
	return key
}

// cutName reads one name off the front of key.
func cutName(key []byte) (name string, rest []byte, err error) {
	var buf []byte // what comes before an escaped zero byte; few names have one
	for {
		i := bytes.IndexByte(key, escape)
		if i < 0 || i+1 == len(key) {
			return "", nil, ErrBadKey
		}
		switch key[i+1] {
		case escapedNul:
			buf = append(append(buf, key[:i]...), 0)
			key = key[i+2:]
		case terminator:
			if buf == nil {
				return string(key[:i]), key[i+2:], nil
			}
			return string(append(buf, key[:i]...)), key[i+2:], nil
		default:
			return "", nil, ErrBadKey
		}
	}
}

// appendPath writes the depth before the names, so that all entries of one
// level of one namespace stand side by side and none of a deeper level between.
func appendPath(key []byte, warehouse string, depth int, path []string) []byte {
	key = appendName(key, warehouse)
	key = binary.BigEndian.AppendUint16(key, uint16(depth))
	for _, name := range path {
		key = appendName(key, name)
	}
	return key
}

func cutPath(key []byte, space Space) (warehouse string, path []string, err error) {
	if len(key) == 0 || key[0] != byte(space) {
		return "", nil, ErrBadKey
	}
	warehouse, key, err = cutName(key[1:])
	if err != nil {
		return "", nil, err
	}
	if len(key) < 2 {
		return "", nil, ErrBadKey
	}
	depth := int(binary.BigEndian.Uint16(key))
	key = key[2:]
	path = make([]string, 0, depth)
	for len(key) > 0 {
		var name string
		name, key, err = cutName(key)
		if err != nil {
			return "", nil, err
		}
		path = append(path, name)
	}
	if len(path) != depth {
		return "", nil, ErrBadKey
	}
	return warehouse, path, nil
}

// KeyRange is all keys k with Start <= k < End.
type KeyRange struct {
	Start, End []byte
}

// prefixRange is all keys that begin with prefix. A prefix never consists of
// 0xFF alone: it begins with a keyspace.
func prefixRange(prefix []byte) KeyRange {
	end := append([]byte(nil), prefix...)
	for end[len(end)-1] == 0xFF {
		end = end[:len(end)-1]
	}
	end[len(end)-1]++
	return KeyRange{Start: prefix, End: end}
}

// SpaceRange is all keys of a keyspace.
func SpaceRange(space Space) KeyRange {
	return KeyRange{Start: []byte{byte(space)}, End: []byte{byte(space) + 1}}
}

// KeyIn is the key of a name in a range of entries that go by one name, such as a
// namespace's tables.
func KeyIn(entries KeyRange, name string) []byte {
	return appendName(bytes.Clone(entries.Start), name)
}

// NameIn is the name that a key has in a range of entries that go by one name.
func NameIn(entries KeyRange, key []byte) (string, error) {
	if !bytes.HasPrefix(key, entries.Start) {
		return "", ErrBadKey
	}
	name, rest, err := cutName(key[len(entries.Start):])
	if err == nil && len(rest) > 0 {
		err = ErrBadKey
	}
	return name, err
}

// NameRange is all names n with From <= n < To in byte order; where To is "" it has
// no end.
type NameRange struct {
	From, To string
}

// OneName is the range of one name.
func OneName(name string) NameRange { return NameRange{From: name, To: name + "\x00"} }

// One tells whether it is the range of one name.
func (r NameRange) One() bool { return r.To == r.From+"\x00" }

// NamesWith is the range of all names with a prefix.
func NamesWith(prefix string) NameRange {
	end := []byte(prefix)
	for len(end) > 0 && end[len(end)-1] == 0xFF {
		end = end[:len(end)-1]
	}
	if len(end) > 0 {
		end[len(end)-1]++
	}
	return NameRange{From: prefix, To: string(end)}
}

// KeysIn is where the names of a range are in a range of entries that go by one name.
func KeysIn(entries KeyRange, names NameRange) KeyRange {
	// No name has a terminator before its end: what begins with the bytes of a name
	// comes neither before that name nor after one that is greater.
	out := KeyRange{Start: appendEscaped(bytes.Clone(entries.Start), names.From), End: entries.End}
	if names.To != "" {
		out.End = appendEscaped(bytes.Clone(entries.Start), names.To)
	}
	return out
}

// ClusterKey is where the cluster's identity is kept.
func ClusterKey() []byte { return []byte{byte(SpaceCluster)} }

// MemberKey is where it is remembered what was decided about a node.
func MemberKey(id string) []byte {
	return appendName([]byte{byte(SpaceMember)}, id)
}

// WarehouseKey is where a warehouse is kept.
func WarehouseKey(name string) []byte {
	return appendName([]byte{byte(SpaceWarehouse)}, name)
}

// WarehouseName reads a warehouse's name from its key.
func WarehouseName(key []byte) (string, error) {
	if len(key) == 0 || Space(key[0]) != SpaceWarehouse {
		return "", ErrBadKey
	}
	name, rest, err := cutName(key[1:])
	if err != nil || len(rest) > 0 {
		return "", ErrBadKey
	}
	return name, nil
}

// NamespaceKey is where a namespace is kept.
func NamespaceKey(warehouse string, path []string) []byte {
	return appendPath([]byte{byte(SpaceNamespace)}, warehouse, len(path), path)
}

// NamespacePath reads warehouse and path from a namespace's key.
func NamespacePath(key []byte) (warehouse string, path []string, err error) {
	return cutPath(key, SpaceNamespace)
}

// ChildNamespaces is the range of a namespace's direct children, in name order;
// an empty parent gives the top level.
func ChildNamespaces(warehouse string, parent []string) KeyRange {
	return prefixRange(appendPath([]byte{byte(SpaceNamespace)}, warehouse, len(parent)+1, parent))
}

func entryKey(space Space, warehouse string, namespace []string, name string) []byte {
	key := appendPath([]byte{byte(space)}, warehouse, len(namespace)+1, namespace)
	return appendName(key, name)
}

func entriesOf(space Space, warehouse string, namespace []string) KeyRange {
	return prefixRange(appendPath([]byte{byte(space)}, warehouse, len(namespace)+1, namespace))
}

func entryName(key []byte, space Space) (warehouse string, namespace []string, name string, err error) {
	warehouse, path, err := cutPath(key, space)
	if err != nil {
		return "", nil, "", err
	}
	if len(path) == 0 {
		return "", nil, "", ErrBadKey
	}
	return warehouse, path[:len(path)-1], path[len(path)-1], nil
}

// TableKey is where a table's name leads.
func TableKey(warehouse string, namespace []string, name string) []byte {
	return entryKey(SpaceTable, warehouse, namespace, name)
}

// TablesOf is the range of a namespace's tables, in name order.
func TablesOf(warehouse string, namespace []string) KeyRange {
	return entriesOf(SpaceTable, warehouse, namespace)
}

// TableName reads warehouse, namespace and name from a table's key.
func TableName(key []byte) (warehouse string, namespace []string, name string, err error) {
	return entryName(key, SpaceTable)
}

// ViewKey is where a view's name leads.
func ViewKey(warehouse string, namespace []string, name string) []byte {
	return entryKey(SpaceView, warehouse, namespace, name)
}

// ViewsOf is the range of a namespace's views, in name order.
func ViewsOf(warehouse string, namespace []string) KeyRange {
	return entriesOf(SpaceView, warehouse, namespace)
}

// ViewName reads warehouse, namespace and name from a view's key.
func ViewName(key []byte) (warehouse string, namespace []string, name string, err error) {
	return entryName(key, SpaceView)
}

// HeadKey is where the head of a table's metadata is kept.
func HeadKey(tableID []byte) []byte {
	return append([]byte{byte(SpaceHead)}, tableID...)
}

// PartKey is where one element of a table's growing arrays is kept.
func PartKey(tableID []byte, list uint8, ordinal uint64) []byte {
	key := make([]byte, 0, 1+len(tableID)+9)
	key = append(key, byte(SpacePart))
	key = append(key, tableID...)
	key = append(key, list)
	return binary.BigEndian.AppendUint64(key, ordinal)
}

// PartsOf is the range of all elements of a table's growing arrays, ordered by
// array and ordinal.
func PartsOf(tableID []byte) KeyRange {
	return prefixRange(append([]byte{byte(SpacePart)}, tableID...))
}

// PartOf reads array and ordinal from a part's key.
func PartOf(key []byte) (list uint8, ordinal uint64, err error) {
	if len(key) < 10 || key[0] != byte(SpacePart) {
		return 0, 0, ErrBadKey
	}
	tail := key[len(key)-9:]
	return tail[0], binary.BigEndian.Uint64(tail[1:]), nil
}

// LocationKey is where the owner of a location is kept. The trailing slash makes
// everything below a location one range that holds no sibling.
func LocationKey(location string) []byte {
	key := append([]byte{byte(SpaceLocation)}, location...)
	return append(key, '/')
}

// LocationsBelow is the range of a location and everything below it.
func LocationsBelow(location string) KeyRange {
	return prefixRange(LocationKey(location))
}

// APIKeyKey is where the API key with this secret's hash is kept.
func APIKeyKey(hash []byte) []byte {
	return append([]byte{byte(SpaceAPIKey)}, hash...)
}

// AnswerKey is where the answer to a principal's Idempotency-Key is kept.
func AnswerKey(principal, key string) []byte {
	out := appendName([]byte{byte(SpaceAnswer)}, principal)
	return appendName(out, key)
}

// TaskKey is where a background job is kept.
func TaskKey(id []byte) []byte {
	return append([]byte{byte(SpaceTask)}, id...)
}

// What is kept of an upload besides its parts.
const (
	uploadItself = 0x00
	uploadLease  = 0x01
)

// UploadKey tells that there may be parts under an id which no table owns yet.
func UploadKey(id []byte) []byte {
	return append(append([]byte{byte(SpaceUpload)}, id...), uploadItself)
}

// UploadLeaseKey tells that somebody still works on an upload; it is kept with an expiry.
func UploadLeaseKey(id []byte) []byte {
	return append(append([]byte{byte(SpaceUpload)}, id...), uploadLease)
}

// UploadID reads the id from an upload's key; ok is false for that of its lease.
func UploadID(key []byte) (id []byte, ok bool) {
	if len(key) < 3 || key[0] != byte(SpaceUpload) || key[len(key)-1] != uploadItself {
		return nil, false
	}
	return bytes.Clone(key[1 : len(key)-1]), true
}

// PurgeKey is where it is noted that a task deletes files below a location.
// Several tasks may, one after another table that was at the same place.
func PurgeKey(location string, taskID []byte) []byte {
	return append(purgesAt(location), taskID...)
}

// PurgesEndedKey changes with each end of a purge, wherever its files were. It is
// below no location, and so among no location's notes.
func PurgesEndedKey() []byte { return []byte{byte(SpacePurge)} }

// purgesAt ends in a byte that no location has, which keeps what is at a
// location apart from what is below.
func purgesAt(location string) []byte {
	key := append([]byte{byte(SpacePurge)}, location...)
	return append(key, '/', escape)
}

// PurgesAt is the range of the purges of exactly this location.
func PurgesAt(location string) KeyRange { return prefixRange(purgesAt(location)) }

// PurgesBelow is the range of the purges of a location and of those below it.
func PurgesBelow(location string) KeyRange {
	return prefixRange(append(append([]byte{byte(SpacePurge)}, location...), '/'))
}
