package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/config"
	"github.com/floeberg/floeberg/internal/identity"
	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/internal/warehouse"
)

// founding does what a new cluster needs once: its default warehouse and its
// first admin key. Every node does it, through the log, on condition that it is
// not done: whoever comes first has done it for all.
type founding struct {
	config  *config.Config
	node    *cluster.Node
	view    func() (*state.View, error)
	stores  *warehouse.Stores
	key     adminKey
	logger  *slog.Logger
	out     io.Writer
	root    string
	allowed []string

	done   atomic.Bool // the warehouse is known and its store is open
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// Attempts at founding wait for a leader this long, and between each other.
const (
	foundingTimeout = 10 * time.Second
	foundingPause   = 200 * time.Millisecond
	foundingPauses  = 3 * time.Second // at most
)

var errFounding = errors.New("the default warehouse is not set up yet")

func newFounding(a *App) (*founding, error) {
	f := &founding{
		config: a.config,
		node:   a.node,
		view:   a.machine.View,
		stores: a.stores,
		key:    adminKey{path: a.folder.in(adminKeyFile)},
		logger: a.logger,
		out:    a.opts.Out,
		cancel: func() {},
	}
	var err error
	if f.root, err = storage.Canonical(a.config.Warehouse); err != nil {
		return nil, fmt.Errorf("warehouse: %w", err)
	}
	if own := "file://" + a.config.DataDir + "/"; strings.HasPrefix(f.root, own) && (a.config.BootstrapExpect != 1 || len(a.config.Join) > 0) {
		f.logger.Warn("the warehouse is in this node's own data folder: nodes on other machines can't reach it; name a shared one with --warehouse",
			slog.String("root", f.root))
	}
	for _, location := range a.config.AllowLocations {
		canonical, err := storage.Canonical(location)
		if err != nil {
			return nil, fmt.Errorf("allow-locations: %w", err)
		}
		f.allowed = append(f.allowed, canonical)
	}
	return f, nil
}

// ready is nil once tables can be served from the default warehouse. Probes are
// answered to everybody, so paths and buckets are only in the log.
func (f *founding) ready() error {
	if f.done.Load() {
		return nil
	}
	return errFounding
}

// lookLocally opens the store where this node's own state knows the warehouse.
func (f *founding) lookLocally() error {
	v, err := f.view()
	if err != nil {
		return err
	}
	defer v.Close()
	rec, _, ok, err := v.Warehouse(f.config.WarehouseName)
	if err != nil || !ok {
		return err
	}
	return f.take(context.Background(), rec)
}

// take opens the store of the warehouse that the cluster has.
func (f *founding) take(ctx context.Context, rec *state.Warehouse) error {
	if _, err := f.stores.Of(ctx, rec.GetName()); err != nil {
		return err
	}
	if !f.done.Swap(true) && (rec.Root != f.root || !slices.Equal(rec.AllowedRoots, f.allowed)) {
		f.logger.Warn("the cluster's default warehouse is not what this node's settings say: the cluster's counts",
			slog.String("warehouse", rec.Name), slog.String("root", rec.Root), slog.Any("allowed", rec.AllowedRoots),
			slog.String("set_root", f.root), slog.Any("set_allowed", f.allowed))
	}
	return nil
}

// start founds in the background, as there may be no leader for a long time.
func (f *founding) start(ctx context.Context) {
	ctx, f.cancel = context.WithCancel(ctx)
	f.ended.Add(1)
	go func() {
		defer f.ended.Done()
		f.run(ctx)
	}()
}

func (f *founding) stop() {
	f.cancel()
	f.ended.Wait()
}

// run tries until all is done. There is no deadline: without a leader nothing
// else works either.
func (f *founding) run(ctx context.Context) {
	for pause := foundingPause; ; pause = min(2*pause, foundingPauses) {
		err := f.attempt(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		level := slog.LevelDebug
		if !errors.Is(err, cluster.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
			level = slog.LevelWarn
		}
		f.logger.Log(ctx, level, "setting up the cluster did not succeed yet", slog.Any("error", err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (f *founding) attempt(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, foundingTimeout)
	defer cancel()
	if err := f.foundKey(ctx); err != nil {
		return err
	}
	if err := f.nameKeys(ctx); err != nil {
		return err
	}
	return f.foundWarehouse(ctx)
}

// look shows the state with everything that was acknowledged before.
func (f *founding) look(ctx context.Context, see func(*state.View) error) error {
	v, err := f.node.View(ctx, cluster.Linearizable, 0)
	if err != nil {
		return err
	}
	defer v.Close()
	return see(v)
}

// propose puts a transaction into the log. It tells whether it was the first.
func (f *founding) propose(ctx context.Context, tx *command.Transaction) (won bool, err error) {
	res, err := f.node.Propose(ctx, tx)
	if err != nil {
		return false, err
	}
	if err := f.node.WaitApplied(ctx, res.Index); err != nil {
		return false, err
	}
	switch res.Outcome {
	case command.Applied:
		return true, nil
	case command.Rejected:
		return false, nil
	case command.Expired:
	}
	return false, fmt.Errorf("%w: the log took too long", context.DeadlineExceeded)
}

// foundWarehouse makes the default warehouse where there is none.
func (f *founding) foundWarehouse(ctx context.Context) error {
	name := f.config.WarehouseName
	for {
		var found bool
		err := f.look(ctx, func(v *state.View) error {
			rec, _, ok, err := v.Warehouse(name)
			if err != nil || !ok {
				return err
			}
			found = true
			return f.take(ctx, rec)
		})
		if err != nil || found {
			return err
		}
		value, err := state.Encode(&state.Warehouse{
			Name: name, Root: f.root, AllowedRoots: f.allowed, CreatedMs: f.node.NowMs(),
		})
		if err != nil {
			return err
		}
		key := state.WarehouseKey(name)
		won, err := f.propose(ctx, &command.Transaction{
			Preconditions: []*command.Precondition{command.KeyAbsent(key)},
			Writes:        []*command.Write{command.PutValue(key, value), command.PutValue(state.WarehousesChangedKey(), nil)},
		})
		if err != nil {
			return err
		}
		if won {
			f.logger.InfoContext(ctx, "made the default warehouse", slog.String("warehouse", name), slog.String("root", f.root))
		}
	}
}

// foundKey makes the first admin key where there is no key at all.
func (f *founding) foundKey(ctx context.Context) error {
	if err := f.settle(ctx); err != nil {
		return err
	}
	given := f.config.BootstrapKey
	if given == "" && !f.config.Auth {
		// Nobody is asked for one. It is minted when somebody is.
		return nil
	}
	needed, err := f.needsKey(ctx, given)
	if err != nil || needed == nil {
		return err
	}
	key := given
	if key == "" {
		if key, err = f.key.candidate(); err != nil {
			return err
		}
	}
	won, err := f.proposeKey(ctx, key, needed)
	if err != nil {
		return err
	}
	if given != "" {
		if won {
			f.logger.InfoContext(ctx, "made the first admin key from --bootstrap-key", slog.String("key", authn.KeyID(key)))
		}
		return nil
	}
	return f.settle(ctx)
}

// needsKey tells whether an admin key is to be made, by what it takes that it still
// is when it is made; nil is that none is. A cluster that never had a key gets one.
// One in which no admin has a key any more, so that nobody could make one, gets the
// key that it is given where that is a new one: who was revoked stays so.
func (f *founding) needsKey(ctx context.Context, given string) (needed []*command.Precondition, err error) {
	err = f.look(ctx, func(v *state.View) error {
		all := state.SpaceRange(state.SpaceAPIKey)
		empty, err := v.Empty(all)
		if err != nil {
			return err
		}
		if empty {
			needed = []*command.Precondition{command.RangeEmpty(all.Start, all.End)}
			return nil
		}
		if given == "" {
			return nil
		}
		rec, _, known, err := v.APIKey(authn.HashKey(given))
		if err != nil {
			return err
		}
		reachable, err := identity.HasAdmin(v, f.node.NowMs())
		switch {
		case err != nil:
			return err
		case known && rec.EndedMs() != 0:
			f.logger.WarnContext(ctx, "--bootstrap-key is not used: it was revoked or rotated", slog.String("key", rec.Id))
		case known:
		case reachable:
			f.logger.InfoContext(ctx, "--bootstrap-key is not used: the cluster has other keys already")
		default:
			f.logger.WarnContext(ctx, "no key of an admin is left: --bootstrap-key becomes one")
			needed = []*command.Precondition{command.KeyAbsent(state.APIKeyKey(authn.HashKey(given)))}
			changed, ok, err := v.Get(state.KeysChangedKey())
			if err != nil {
				return err
			}
			if ok {
				needed = append(needed, command.KeyUnchanged(state.KeysChangedKey(), changed.Revision))
			}
		}
		return nil
	})
	return needed, err
}

func (f *founding) proposeKey(ctx context.Context, key string, needed []*command.Precondition) (won bool, err error) {
	writes, err := identity.BootstrapKey(key, f.node.NowMs())
	if err != nil {
		return false, err
	}
	return f.propose(ctx, &command.Transaction{Preconditions: needed, Writes: writes})
}

// nameKeys makes what leads from ids to keys, for keys that were made before there
// was such a thing.
func (f *founding) nameKeys(ctx context.Context) error {
	var missing []*command.Transaction
	err := f.look(ctx, func(v *state.View) (err error) {
		missing, err = identity.MissingNames(v)
		return err
	})
	if err != nil {
		return err
	}
	for _, tx := range missing {
		// Where another node was first, it is done.
		if _, err := f.propose(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// settle finds out what became of the key that this node minted, in this life
// or an earlier one, and tells the user if it is the one.
func (f *founding) settle(ctx context.Context) error {
	key, err := f.key.unsettled()
	if err != nil || key == "" {
		return err
	}
	var mine, others bool
	err = f.look(ctx, func(v *state.View) error {
		if _, _, mine, err = v.APIKey(authn.HashKey(key)); err != nil {
			return err
		}
		empty, err := v.Empty(state.SpaceRange(state.SpaceAPIKey))
		others = !empty
		return err
	})
	switch {
	case err != nil:
		return err
	case mine:
		if err := f.key.won(); err != nil {
			return err
		}
		f.logger.InfoContext(ctx, "minted the first admin key", slog.String("key", authn.KeyID(key)), slog.String("file", f.key.path))
		_, err := fmt.Fprintf(f.out, "Admin key of the new cluster, shown this once and kept in %s:\n%s\n", f.key.path, key)
		return err
	case others:
		return f.key.lost()
	}
	return nil
}
