package client

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"
)

// Table is what the tests read of a LoadTableResult or a commit's answer.
type Table struct {
	MetadataLocation string   `json:"metadata-location"`
	Metadata         Metadata `json:"metadata"`
}

// Metadata is what the tests read of a table's document.
type Metadata struct {
	FormatVersion      int                  `json:"format-version"`
	UUID               string               `json:"table-uuid"`
	Location           string               `json:"location"`
	LastSequenceNumber int64                `json:"last-sequence-number"`
	LastUpdatedMs      int64                `json:"last-updated-ms"`
	Properties         map[string]string    `json:"properties"`
	CurrentSnapshotID  *int64               `json:"current-snapshot-id"`
	CurrentSchemaID    int                  `json:"current-schema-id"`
	Snapshots          []Snapshot           `json:"snapshots"`
	Refs               map[string]Reference `json:"refs"`
	MetadataLog        []struct {
		File string `json:"metadata-file"`
	} `json:"metadata-log"`
}

// Snapshot is what the tests read of a snapshot.
type Snapshot struct {
	ID             int64  `json:"snapshot-id"`
	ParentID       int64  `json:"parent-snapshot-id"`
	SequenceNumber int64  `json:"sequence-number"`
	ManifestList   string `json:"manifest-list"`
}

// Reference is a branch or a tag.
type Reference struct {
	SnapshotID int64  `json:"snapshot-id"`
	Type       string `json:"type"`
}

// Table reads the answer of a load, a create or a commit.
func (r *Response) Table() (*Table, error) {
	var t Table
	if err := r.Decode(&t); err != nil {
		return nil, err
	}
	if t.Metadata.UUID == "" {
		return nil, fmt.Errorf("no table in %s", r)
	}
	return &t, nil
}

// Current is the id of the current snapshot; 0 is none.
func (m *Metadata) Current() int64 {
	if m.CurrentSnapshotID == nil || *m.CurrentSnapshotID == -1 {
		return 0
	}
	return *m.CurrentSnapshotID
}

// NewSnapshotID mints the id of a snapshot as clients do.
func NewSnapshotID() int64 {
	var b [8]byte
	// Read of crypto/rand never fails.
	_, _ = rand.Read(b[:])
	return int64(binary.BigEndian.Uint64(b[:])>>1) | 1
}

// Append is the commit of one more snapshot on a branch of the table as it was
// read: what an engine sends after it wrote its files.
func (t *Table) Append(branch string, id int64) (requirements, updates []Object) {
	parent := t.Metadata.Refs[branch].SnapshotID
	return []Object{
			{"type": "assert-table-uuid", "uuid": t.Metadata.UUID},
			AssertRef(branch, parent),
		}, []Object{
			{"action": "add-snapshot", "snapshot": t.NewSnapshot(id, parent, t.Metadata.LastSequenceNumber+1)},
			SetRef(branch, id),
		}
}

// AssertRef requires that a branch is at a snapshot; 0 is that it is not there.
func AssertRef(branch string, id int64) Object {
	o := Object{"type": "assert-ref-snapshot-id", "ref": branch, "snapshot-id": nil}
	if id != 0 {
		o["snapshot-id"] = id
	}
	return o
}

// SetRef moves a branch.
func SetRef(branch string, id int64) Object {
	return Object{"action": "set-snapshot-ref", "ref-name": branch, "type": "branch", "snapshot-id": id}
}

// NewSnapshot is an append's snapshot, of the size that engines write.
func (t *Table) NewSnapshot(id, parent, sequence int64) Object {
	s := Object{
		"snapshot-id":     id,
		"sequence-number": sequence,
		"timestamp-ms":    max(time.Now().UnixMilli(), t.Metadata.LastUpdatedMs),
		"schema-id":       t.Metadata.CurrentSchemaID,
		"manifest-list":   t.Metadata.Location + "/metadata/snap-" + strconv.FormatInt(id, 10) + ".avro",
		"summary": Object{
			"operation": "append", "added-data-files": "1", "added-records": "1000", "added-files-size": "35731",
			"changed-partition-count": "1", "total-records": "1000", "total-files-size": "35731", "total-data-files": "1",
			"total-delete-files": "0", "total-position-deletes": "0", "total-equality-deletes": "0",
		},
	}
	if parent != 0 {
		s["parent-snapshot-id"] = parent
	}
	return s
}
