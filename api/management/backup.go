package management

import (
	"context"
	"net/http"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/internal/backup"
)

// Backups is the snapshots in the snapshot store.
type Backups interface {
	// List tells what is there.
	List(ctx context.Context) (*backup.Listing, error)
	// Find returns one by its id, or the newest by backup.NewestID.
	Find(ctx context.Context, id string) (*backup.Manifest, error)
	// Create has the leader make one.
	Create(ctx context.Context, key string) (*backup.Operation, error)
	// Verify has this node restore one into a scratch state.
	Verify(ctx context.Context, id, key string) (*backup.Operation, error)
	// Operation tells how long work stands.
	Operation(ctx context.Context, id string) (*backup.Operation, error)
}

// Backup is a snapshot in the snapshot store as operators see it.
type Backup = backup.Manifest

// DamagedBackup is one that can't be restored.
type DamagedBackup struct {
	ID      string `json:"id"`
	Problem string `json:"problem"`
}

// BackupList is a page of what is in the snapshot store.
type BackupList struct {
	Backups []*Backup `json:"backups"`
	// Damaged are told on the first page.
	Damaged       []DamagedBackup `json:"damaged"`
	NextPageToken string          `json:"next_page_token,omitempty"`
}

// BackupOperation is long work on a snapshot.
type BackupOperation = backup.Operation

// fewBackups is a page where its size is not said.
const fewBackups = 1000

func (a *api) store() (Backups, error) {
	if a.backups == nil {
		return nil, backup.ErrNoStore
	}
	return a.backups, nil
}

func (a *api) listBackups(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	p, err := page(c)
	if err != nil {
		return nil, err
	}
	backups, err := a.store()
	if err != nil {
		return nil, err
	}
	list, err := backups.List(ctx)
	if err != nil {
		return nil, err
	}
	body := BackupList{Backups: []*Backup{}, Damaged: []DamagedBackup{}}
	rest := list.Snapshots
	if p.Token == "" {
		for _, d := range list.Damaged {
			body.Damaged = append(body.Damaged, DamagedBackup{ID: d.ID, Problem: d.Err.Error()})
		}
	} else if rest, err = after(rest, p.Token); err != nil {
		return nil, err
	}
	size := p.Size
	if size == 0 {
		size = fewBackups
	}
	if len(rest) > size {
		rest = rest[:size]
		body.NextPageToken = rest[size-1].ID
	}
	body.Backups = append(body.Backups, rest...)
	return serve.JSON(0, body)
}

// after is what follows a snapshot in a listing.
func after(list []*Backup, id string) ([]*Backup, error) {
	for i, m := range list {
		if m.ID == id {
			return list[i+1:], nil
		}
	}
	return nil, serve.BadRequest("Invalid query: page_token is of no snapshot that is still there: list from the begin")
}

func (a *api) showBackup(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	backups, err := a.store()
	if err != nil {
		return nil, err
	}
	m, err := backups.Find(ctx, c.Param("backup"))
	if err != nil {
		return nil, err
	}
	return serve.JSON(0, m)
}

func (a *api) createBackup(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	backups, err := a.store()
	if err != nil {
		return nil, err
	}
	return accepted(backups.Create(ctx, c.Change().Key))
}

func (a *api) verifyBackup(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	backups, err := a.store()
	if err != nil {
		return nil, err
	}
	return accepted(backups.Verify(ctx, c.Param("backup"), c.Change().Key))
}

func (a *api) showBackupWork(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	backups, err := a.store()
	if err != nil {
		return nil, err
	}
	op, err := backups.Operation(ctx, c.Param("operation"))
	if err != nil {
		return nil, err
	}
	return serve.JSON(0, op)
}

// accepted is the answer to who began long work: how it stands, to be asked for
// again.
func accepted(op *backup.Operation, err error) (*serve.Reply, error) {
	if err != nil {
		return nil, err
	}
	reply, err := serve.JSON(0, op)
	if err == nil {
		reply.Status = http.StatusAccepted
	}
	return reply, err
}
