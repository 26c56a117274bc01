package backup

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/floeberg/floeberg/fsm"
)

// manifestFormat goes up when an older program could not restore by a manifest.
const manifestFormat = 1

// Manifest says what a snapshot holds, and what its object must look like. There
// is no secret in it.
type Manifest struct {
	Format int `json:"format"`
	// ID names the snapshot in its cluster's folder.
	ID        string `json:"id"`
	ClusterID string `json:"cluster_id"`

	// Index and Term are of the last log entry that is in it, Time is replicated
	// time at that entry, Revision that of the last change.
	Index    uint64    `json:"index"`
	Term     uint64    `json:"term"`
	Time     time.Time `json:"time"`
	Revision uint64    `json:"revision"`
	// StateChecksum is the checksum of the whole state, in hexadecimal: what all
	// nodes have at that index.
	StateChecksum string `json:"state_checksum"`
	// Members are the nodes of the cluster when it was taken.
	Members []Member `json:"members"`

	// Object is the name of the object beside the manifest, Bytes its size and
	// SHA256 its hash as it is stored: compressed and, perhaps, encrypted.
	Object string `json:"object"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// Compression is that of the stream inside.
	Compression string `json:"compression"`
	// Encryption is nil where it is not encrypted.
	Encryption *Encryption `json:"encryption"`

	// CreatedAt is when it was begun, by the clock of the node that wrote it.
	CreatedAt time.Time `json:"created_at"`
	// Node wrote it, Version is its program's.
	Node    string `json:"node"`
	Version string `json:"version"`
}

// Member is a node of the cluster at the time of a snapshot.
type Member struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Voter   bool   `json:"voter"`
}

// Encryption says how an object is encrypted and whose key opens it.
type Encryption struct {
	Method     string   `json:"method"`
	Recipients []string `json:"recipients"`
}

// Values of manifests.
const (
	compressionZstd = "zstd"
	methodAge       = "age"
)

// describe notes what the snapshot holds.
func (m *Manifest) describe(h fsm.Header) {
	m.ClusterID, m.Index, m.Term, m.Revision = h.ClusterID, h.Index, h.Term, h.Revision
	m.Time = time.UnixMilli(int64(h.TimeMs)).UTC()
	m.StateChecksum = hex.EncodeToString(h.Checksum[:])
}

// check compares a snapshot's own header with what the manifest says.
func (m *Manifest) check(h fsm.Header) error {
	var told Manifest
	told.describe(h)
	if told.ClusterID != m.ClusterID {
		return fmt.Errorf("%w: it is of %s, its manifest says %s", ErrForeign, told.ClusterID, m.ClusterID)
	}
	if told.Index != m.Index || told.Term != m.Term || told.Revision != m.Revision || !told.Time.Equal(m.Time) || told.StateChecksum != m.StateChecksum {
		return fmt.Errorf("%w: it holds index %d with checksum %s, its manifest says index %d with checksum %s",
			ErrDamaged, told.Index, told.StateChecksum, m.Index, m.StateChecksum)
	}
	return nil
}

func (m *Manifest) encode() ([]byte, error) {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("manifest of %s: %w", m.ID, err)
	}
	return append(data, '\n'), nil
}

// decodeManifest reads the manifest of a snapshot.
func decodeManifest(id, clusterID string, data []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("%w: the manifest of %s can't be read: %w", ErrDamaged, id, err)
	}
	switch {
	case m.Format > manifestFormat:
		return nil, fmt.Errorf("%w: the manifest of %s has format %d, this program reads %d", ErrNewerFormat, id, m.Format, manifestFormat)
	case m.Compression != compressionZstd, m.Encryption != nil && m.Encryption.Method != methodAge:
		return nil, fmt.Errorf("%w: %s is compressed or encrypted in a way that this program does not know", ErrNewerFormat, id)
	case m.ClusterID != clusterID:
		return nil, fmt.Errorf("%w: the manifest of %s is of %s, it lies with those of %s", ErrForeign, id, m.ClusterID, clusterID)
	case m.Format < 1, m.ID != id, m.Object != objectName(id, m.Encryption != nil), m.Bytes <= 0, !isHash(m.SHA256, 32), !isHash(m.StateChecksum, 16):
		return nil, fmt.Errorf("%w: the manifest of %s is incomplete", ErrDamaged, id)
	}
	return &m, nil
}

func isHash(text string, bytes int) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == bytes
}
