package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/backup"
	"github.com/floeberg/floeberg/internal/restore"
	"github.com/floeberg/floeberg/internal/storage"
)

// restoreBackups lets this node restore backups into the cluster.
func (a *App) restoreBackups(context.Context) error {
	restorer, err := restore.New(restore.Options{
		Log:   restoreLog{a.node, a.machine},
		Open:  a.openBackups,
		Files: storedFiles{a.stores},
		Restored: func() error {
			if a.snapshots != nil {
				// What was restored is in no snapshot of this cluster yet.
				(&snapshotBases{app: a}).Request("a backup was restored")
			}
			return a.founding.lookLocally()
		},
		Node:    a.config.NodeID,
		Scratch: filepath.Join(a.folder.in(scratchFolder), "restore"),
		Logger:  a.logger.With(slog.String("room", "restore")),
	})
	if err != nil {
		return err
	}
	a.restorer = restorer
	a.undo.add("giving a restore back", restorer.Stop)
	return nil
}

// openBackups opens where backups are: this cluster's own snapshot store, or
// another one, which is reached by the same settings.
func (a *App) openBackups(_ context.Context, url string) (*restore.Place, error) {
	if url == "" {
		if a.snapshots == nil {
			return nil, fmt.Errorf("%w: say where the backups are", backup.ErrNoStore)
		}
		return a.snapshots, nil
	}
	root, err := storage.Canonical(url)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", restore.ErrBadRequest, err)
	}
	if folder, local := strings.CutPrefix(root, "file://"); local {
		// A store's folder is made where it is missing; who only reads must not.
		if _, err := os.Stat(folder); err != nil {
			return nil, fmt.Errorf("%w: on node %s there is no folder %s", restore.ErrBadRequest, a.config.NodeID, folder)
		}
	}
	stores := a.storeConfig()
	stores.Private = true
	store, err := storage.Open(root, stores)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", restore.ErrBadRequest, err)
	}
	keys, err := snapshotKeys(a.config.SnapshotKey)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &restore.Place{Store: store, Root: root, Keys: keys, Close: store.Close}, nil
}

// stateReplaced is called when this node's whole state has become another one:
// the warehouse may be elsewhere now.
func (a *App) stateReplaced() {
	f := a.replaced.Load()
	if f == nil {
		return // it looks when it is made
	}
	if err := f.lookLocally(); err != nil {
		a.logger.Error("the restored warehouse can't be opened", slog.Any("error", err))
	}
}

// restoreLog is the cluster as a restore sees it. What goes wrong there is worth
// another try: a restore is known by its id.
type restoreLog struct {
	*cluster.Node
	machine *fsm.Machine
}

// Propose implements restore.Log.
func (l restoreLog) Propose(ctx context.Context, tx *command.Transaction) (command.Result, error) {
	result, err := l.Node.Propose(ctx, tx)
	if err != nil {
		err = fmt.Errorf("%w: %w", backup.ErrNotNow, err)
	}
	return result, err
}

// Current implements restore.Log.
func (l restoreLog) Current(ctx context.Context) (*state.View, error) {
	v, err := l.Node.View(ctx, cluster.Linearizable, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", backup.ErrNotNow, err)
	}
	return v, nil
}

// View implements restore.Log.
func (l restoreLog) View() (*state.View, error) { return l.machine.View() }
