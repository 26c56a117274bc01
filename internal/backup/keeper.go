package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// KeeperOptions are what a keeper is made of.
type KeeperOptions struct {
	// Store and Root are where snapshots go; Keys encrypt them, nil does not.
	// Store and Root are required.
	Store Store
	Root  string
	Keys  *Keys
	// ClusterID is "" as long as the node does not know it. Required.
	ClusterID func() string
	// Source is this node's state, Revision that of its last change. Required.
	Source   Source
	Revision func() (uint64, error)
	// About is what manifests tell; its Node is this node. Required.
	About func() About
	// Leading tells whether this node writes snapshots now. Required.
	Leading func() bool
	// Peers are the keepers of the other nodes. Required.
	Peers Peers
	// Now is replicated time. Required.
	Now func() time.Time
	// Interval is how often the leader writes a snapshot. Required.
	Interval time.Duration
	// Retention says which ones are kept.
	Retention Retention
	// Scratch is the folder below which snapshots are tried. Required.
	Scratch string
	// Room tells how many bytes fit there. A trial that could fill the disk, which
	// the node needs for its log, is refused. Nil does not look.
	Room func() (int64, error)
	// Beside gives warnings of what stands beside the snapshots, for who may be
	// anybody; nil gives none.
	Beside func() []string
	// Logger gets what operators should see. Required.
	Logger *slog.Logger
	// Observer is told what happens.
	Observer Observer
	// LookEvery is how often is looked at what is to be done. Default 2 s.
	LookEvery time.Duration
	// RetryAfter is the pause after an upload that failed; it doubles with each
	// further one, up to five minutes. Default 5 s.
	RetryAfter time.Duration
}

// Observer is told what happens, for metrics. Its functions may be nil.
type Observer struct {
	// Uploaded is called after each snapshot that is in the store and compared.
	Uploaded func(took time.Duration, bytes int64)
	// UploadFailed is called after each one that is not.
	UploadFailed func()
}

const (
	// refreshEvery is how often nodes look at what is in the store.
	refreshEvery = time.Minute
	maxRetry     = 5 * time.Minute
)

// Keeper is a node's part in keeping snapshots. On the leader it writes one every
// interval, on the others it only knows of them. It never holds up the log: all it
// does is in goroutines of its own, on a snapshot of the state.
type Keeper struct {
	opts KeeperOptions
	ops  *operations

	mu     sync.Mutex
	vault  *Vault
	begun  time.Time // of the keeper
	newest *Manifest
	// listed is when the store was last looked at, by this machine's clock, and
	// what it said if it did not answer.
	listed     time.Time
	listFailed error
	// failures is how many uploads failed one after the other, failed is the last
	// one's reason; retry is when the next one is due.
	failures int
	failed   error
	retry    time.Time
	total    uint64 // of failures ever
	writing  bool
}

// StartKeeper starts a node's keeper.
func StartKeeper(opts KeeperOptions) (*Keeper, error) {
	switch {
	case opts.Store == nil, opts.Root == "", opts.ClusterID == nil, opts.Source == nil, opts.Revision == nil, opts.About == nil,
		opts.Leading == nil, opts.Peers == nil, opts.Now == nil, opts.Interval <= 0, opts.Scratch == "", opts.Logger == nil:
		return nil, errors.New("backup: the keeper's options are incomplete")
	}
	if opts.LookEvery <= 0 {
		opts.LookEvery = 2 * time.Second
	}
	if opts.RetryAfter <= 0 {
		opts.RetryAfter = 5 * time.Second
	}
	k := &Keeper{opts: opts, ops: newOperations(opts.About().Node, time.Now, opts.Logger), begun: time.Now()}
	k.ops.group.Go(k.run)
	return k, nil
}

// Stop ends all work, at most as long as ctx. An upload that is cut leaves no snapshot.
func (k *Keeper) Stop(ctx context.Context) error { return k.ops.close(ctx) }

func (k *Keeper) run() {
	tick := time.NewTicker(k.opts.LookEvery)
	defer tick.Stop()
	for {
		k.look()
		select {
		case <-tick.C:
		case <-k.ops.ctx.Done():
			return
		}
	}
}

// look does what is to be done now.
func (k *Keeper) look() {
	ctx := k.ops.ctx
	v, err := k.open()
	if err != nil {
		return // The node does not know yet whose it is.
	}
	k.mu.Lock()
	stale := time.Since(k.listed) >= refreshEvery
	k.mu.Unlock()
	if stale {
		k.refresh(ctx, v)
	}
	if !k.opts.Leading() || !k.due(time.Now()) {
		return
	}
	// Another leader may have written one since the store was last looked at.
	if !stale {
		k.refresh(ctx, v)
	}
	if !k.due(time.Now()) {
		return
	}
	err = k.ops.exclusive(ctx, func(ctx context.Context) error {
		if !k.due(time.Now()) {
			return nil // An operator's was in the way, and is as good.
		}
		_, err := k.write(ctx, v, nil)
		return err
	})
	if err != nil && ctx.Err() == nil {
		k.opts.Logger.Warn("no snapshot could be written to the snapshot store; it is tried again", slog.Any("error", err))
	}
}

// open gives the vault once the node knows whose it is.
func (k *Keeper) open() (*Vault, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := k.opts.ClusterID()
	switch {
	case id == "":
		return nil, fmt.Errorf("%w: this node does not know its cluster yet", ErrNotNow)
	case k.vault != nil && k.vault.ClusterID() == id:
		return k.vault, nil
	}
	v, err := Open(Options{Store: k.opts.Store, Root: k.opts.Root, ClusterID: id, Keys: k.opts.Keys, Now: k.opts.Now})
	if err != nil {
		return nil, err
	}
	k.vault = v
	return v, nil
}

// refresh looks at what is in the store.
func (k *Keeper) refresh(ctx context.Context, v *Vault) {
	l, err := v.List(ctx)
	if ctx.Err() != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.listed, k.listFailed = time.Now(), err
	if err != nil {
		return
	}
	before := k.newest
	k.newest = nil
	if len(l.Snapshots) == 0 {
		return
	}
	k.newest = l.Snapshots[0]
	if before == nil || before.ID != k.newest.ID {
		// Another node could write one, so what failed here is over.
		k.failures, k.failed = 0, nil
	}
}

// due tells whether a snapshot is to be written now.
func (k *Keeper) due(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failures > 0 {
		return !now.Before(k.retry)
	}
	if k.newest == nil {
		return true
	}
	return k.opts.Now().Sub(k.newest.Time) >= k.opts.Interval && k.changed(k.newest)
}

// changed tells whether there is something that a snapshot does not hold.
func (k *Keeper) changed(since *Manifest) bool {
	revision, err := k.opts.Revision()
	return err != nil || revision != since.Revision
}

// write makes a snapshot and notes how that went.
func (k *Keeper) write(ctx context.Context, v *Vault, watch Watch) (*Manifest, error) {
	k.mu.Lock()
	k.writing = true
	k.mu.Unlock()
	begun := time.Now()
	m, err := v.Create(ctx, k.opts.Source, k.opts.About(), watch)
	took := time.Since(begun)
	k.note(ctx, m, err)
	if err != nil {
		return nil, err
	}
	if k.opts.Observer.Uploaded != nil {
		k.opts.Observer.Uploaded(took, m.Bytes)
	}
	k.opts.Logger.Info("a snapshot is in the snapshot store, read back and compared", slog.String("id", m.ID),
		slog.Uint64("index", m.Index), slog.Int64("bytes", m.Bytes), slog.Duration("took", took))
	gone, err := v.Prune(ctx, k.opts.Retention)
	if err != nil && ctx.Err() == nil {
		// The next one takes them too.
		k.opts.Logger.Warn("old snapshots and leftovers could not be deleted", slog.Any("error", err))
	}
	if len(gone) > 0 {
		k.opts.Logger.Info("old snapshots were deleted", slog.Any("ids", gone))
	}
	return m, nil
}

func (k *Keeper) note(ctx context.Context, m *Manifest, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.writing = false
	switch {
	case err == nil:
		k.newest, k.failures, k.failed = m, 0, nil
		k.listed, k.listFailed = time.Now(), nil
	case ctx.Err() == nil: // A node that stops has not failed.
		k.failed = err
		pause := min(k.opts.RetryAfter<<min(k.failures, 20), maxRetry)
		k.retry = time.Now().Add(pause)
		k.failures++
		k.total++
		if k.opts.Observer.UploadFailed != nil {
			k.opts.Observer.UploadFailed()
		}
	}
}
