package backup

import (
	"crypto/rand"
	"path"
	"strings"
	"time"

	"github.com/floeberg/floeberg/internal/storage"
)

const (
	snapshotsFolder = "snapshots"
	manifestSuffix  = ".json"
	objectSuffix    = ".snapshot"
	encryptedSuffix = ".age"
	// idTime begins an id, so that names sort by age for whoever looks at the store.
	idTime = "20060102T150405Z"
)

// newID names a snapshot that is begun now. The random part makes it one that was
// never used: an upload that failed may still land.
func newID(now time.Time) string {
	const length = 8
	return now.UTC().Format(idTime) + "-" + strings.ToLower(rand.Text()[:length])
}

func objectName(id string, encrypted bool) string {
	if encrypted {
		return id + objectSuffix + encryptedSuffix
	}
	return id + objectSuffix
}

// idOf gives the id that a name of an object or a manifest begins with, and
// whether it is the manifest's. Anything else has none.
func idOf(location string) (id string, manifest bool) {
	name := path.Base(location)
	if id, ok := strings.CutSuffix(name, manifestSuffix); ok {
		return id, true
	}
	id, ok := strings.CutSuffix(strings.TrimSuffix(name, encryptedSuffix), objectSuffix)
	if !ok {
		return "", false
	}
	return id, false
}

// ClusterFolder is where a cluster keeps all that it keeps below a root.
func ClusterFolder(root, clusterID string) string { return storage.Join(root, clusterID) }

func (v *Vault) folder() string {
	return storage.Join(ClusterFolder(v.opts.Root, v.opts.ClusterID), snapshotsFolder)
}

func (v *Vault) manifestAt(id string) string { return storage.Join(v.folder(), id+manifestSuffix) }

func (v *Vault) objectAt(m *Manifest) string { return storage.Join(v.folder(), m.Object) }
