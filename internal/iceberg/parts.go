package iceberg

import (
	"bytes"
	"cmp"
	"strconv"
)

// List names one of the growing arrays of a table's document, which are stored
// element by element apart from the head.
type List uint8

// The lists, in the order in which a document has them. The numbers are part of
// stored keys: they are never changed or used again.
const (
	Snapshots           List = 1
	SnapshotLog         List = 2
	MetadataLog         List = 3
	Statistics          List = 4
	PartitionStatistics List = 5

	numLists = 5
)

var listNames = [numLists + 1]string{
	Snapshots: "snapshots", SnapshotLog: "snapshot-log", MetadataLog: "metadata-log",
	Statistics: "statistics", PartitionStatistics: "partition-statistics",
}

// String is the name of the array in the document.
func (l List) String() string {
	if l < 1 || l > numLists {
		return "list " + strconv.Itoa(int(l))
	}
	return listNames[l]
}

// PartKey places an element in its array: elements come in the order of their
// ordinals. An ordinal is never used again within a table.
type PartKey struct {
	List    List
	Ordinal uint64
}

// Compare orders keys by list, then by ordinal.
func (k PartKey) Compare(other PartKey) int {
	return cmp.Or(cmp.Compare(k.List, other.List), cmp.Compare(k.Ordinal, other.Ordinal))
}

// Part is one element of a growing array: its raw JSON, unknown fields included.
type Part struct {
	PartKey
	JSON []byte
}

// item is a part within its list.
type item struct {
	ordinal uint64
	raw     []byte
}

// list is one growing array. Versions of a table share the memory of what did
// not change.
type list struct {
	items []item
	next  uint64 // ordinal of the next element
}

// ordinalsName begins a stored head. It is no member of the document: the
// counters are written in front of it and taken off again.
const ordinalsName = `{"part-ordinals":[`

// splitHead separates the counters of a stored head from its members.
func splitHead(stored []byte) (ordinals, members []byte, ok bool) {
	rest, ok := bytes.CutPrefix(stored, []byte(ordinalsName))
	if !ok {
		return nil, nil, false
	}
	i := bytes.IndexByte(rest, ']')
	if i < 0 || i+2 > len(rest)-1 || rest[i+1] != ',' || rest[len(rest)-1] != '}' {
		return nil, nil, false
	}
	return rest[:i], rest[i+2 : len(rest)-1], true
}

func appendOrdinals(dst []byte, lists *[numLists + 1]list) []byte {
	dst = append(dst, ordinalsName...)
	for l := Snapshots; l <= numLists; l++ {
		if l > Snapshots {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, lists[l].next, 10)
	}
	return append(dst, ']', ',')
}

func readOrdinals(raw []byte, lists *[numLists + 1]list) error {
	fields := bytes.Split(raw, []byte{','})
	if len(fields) != numLists {
		return invalidf("Stored head has %d ordinals, expected %d", len(fields), numLists)
	}
	for i, field := range fields {
		n, err := strconv.ParseUint(string(field), 10, 64)
		if err != nil {
			return invalidf("Stored head has an invalid ordinal: %s", excerpt(field))
		}
		lists[i+1].next = n
	}
	return nil
}
