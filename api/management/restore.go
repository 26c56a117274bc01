package management

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/api/jsonbody"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/internal/backup"
	"github.com/floeberg/floeberg/internal/restore"
)

// Restores brings backups into this cluster.
type Restores interface {
	// Start begins one and returns as soon as that is done. Asked for again under its
	// id, it is the same one.
	Start(ctx context.Context, request restore.Request) (*restore.Restore, error)
	// Get returns one by its id.
	Get(ctx context.Context, id string) (*restore.Restore, error)
}

// RestoreRequest asks for a restore.
type RestoreRequest struct {
	// ID names it, so that asking again is the same one; "" is the request's
	// Idempotency-Key, or a new one.
	ID string `json:"id"`
	// From is the URL of the snapshot store; "" is the cluster's own.
	From string `json:"from"`
	// ClusterID is whose snapshots; "" is this cluster's own.
	ClusterID string `json:"cluster_id"`
	// Snapshot is the id of one; "" is the newest that will do.
	Snapshot string `json:"snapshot"`
	// At most one of these asks for another point than that of the snapshot.
	ToIndex uint64     `json:"to_index"`
	ToTime  *time.Time `json:"to_time"`
	ToEnd   bool       `json:"to_end"`
}

// Restore is a restore as operators see it.
type Restore struct {
	ID         string     `json:"id"`
	Status     string     `json:"status"`
	Node       string     `json:"node"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Store      string     `json:"store"`
	ClusterID  string     `json:"cluster_id"`
	Backup     string     `json:"backup"`
	// Index, Term and Time are of the last entry in the restored state, and
	// StateChecksum is what the lost cluster had there; null before it is known.
	Index         uint64     `json:"index"`
	Term          uint64     `json:"term"`
	Time          *time.Time `json:"time"`
	StateChecksum *string    `json:"state_checksum"`
	BytesDone     uint64     `json:"bytes_done"`
	BytesTotal    uint64     `json:"bytes_total"`
	BytesWritten  uint64     `json:"bytes_written"`
	Entries       uint64     `json:"entries"`
	// Tables and views together.
	Tables          uint64        `json:"tables"`
	Checked         uint64        `json:"checked"`
	MissingCount    uint64        `json:"missing_count"`
	Missing         []MissingFile `json:"missing"`
	Unchecked       uint64        `json:"unchecked"`
	UncheckedReason *string       `json:"unchecked_reason"`
	Error           *string       `json:"error"`
}

// MissingFile is a table or a view whose metadata file is not there.
type MissingFile struct {
	Warehouse        string   `json:"warehouse"`
	Namespace        []string `json:"namespace"`
	Name             string   `json:"name"`
	View             bool     `json:"view"`
	MetadataLocation string   `json:"metadata_location"`
}

func showRestore(r *restore.Restore) Restore {
	out := Restore{
		ID: r.ID, Status: string(r.Status), Node: r.Node, StartedAt: r.Started, FinishedAt: moment(r.Finished),
		Store: r.Store, ClusterID: r.ClusterID, Backup: r.Snapshot,
		Index: r.Index, Term: r.Term, Time: moment(r.Time), StateChecksum: given(r.Checksum),
		BytesDone: r.BytesRead, BytesTotal: r.BytesTotal, BytesWritten: r.BytesWritten, Entries: r.Entries,
		Tables: r.Tables, Checked: r.Checked, MissingCount: r.MissingCount, Missing: []MissingFile{},
		Unchecked: r.Unchecked, UncheckedReason: given(r.UncheckedReason), Error: given(r.Error),
	}
	for _, f := range r.Missing {
		out.Missing = append(out.Missing, MissingFile{
			Warehouse: f.GetWarehouse(), Namespace: append([]string{}, f.GetNamespace()...), Name: f.GetName(),
			View: f.GetView(), MetadataLocation: f.GetMetadataLocation(),
		})
	}
	return out
}

func (a *api) startRestore(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	if a.restores == nil {
		return nil, backup.ErrNoStore
	}
	var body struct {
		RestoreRequest
		ToIndex jsonbody.Integer `json:"to_index"`
	}
	if err := jsonbody.Decode(c.Body, &body); err != nil {
		return nil, err
	}
	index, err := body.ToIndex.Natural("to_index")
	if err != nil {
		return nil, err
	}
	request := restore.Request{
		ID: cmp.Or(body.ID, c.Change().Key, uuid.NewString()), Principal: c.Principal.ID,
		From: body.From, ClusterID: body.ClusterID, Snapshot: body.Snapshot,
		ToIndex: index, ToEnd: body.ToEnd,
	}
	if body.Snapshot == backup.NewestID {
		request.Snapshot = ""
	}
	if body.ToTime != nil {
		request.ToTime = *body.ToTime
	}
	r, err := a.restores.Start(ctx, request)
	if err != nil {
		return nil, err
	}
	reply, err := serve.JSON(r.LogIndex, showRestore(r))
	if err == nil {
		reply.Status = http.StatusAccepted
	}
	return reply, err
}

func (a *api) showRestore(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	if a.restores == nil {
		return nil, backup.ErrNoStore
	}
	r, err := a.restores.Get(ctx, c.Param("restore"))
	if err != nil {
		return nil, err
	}
	return serve.JSON(r.LogIndex, showRestore(r))
}
