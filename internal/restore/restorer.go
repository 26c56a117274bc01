package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// Log is the cluster as a restore needs it.
type Log interface {
	// Propose puts a transaction into the log.
	Propose(ctx context.Context, tx *command.Transaction) (command.Result, error)
	// Current gives the state with everything that was acknowledged before. The
	// caller closes it.
	Current(ctx context.Context) (*state.View, error)
	// View gives this node's state, which may be behind. The caller closes it.
	View() (*state.View, error)
	// WaitApplied returns once this node has applied the log up to index.
	WaitApplied(ctx context.Context, index uint64) error
	// NowMs is the replicated time, milliseconds since the Unix epoch.
	NowMs() uint64
}

// Files is where tables' metadata files are.
type Files interface {
	// Exists tells whether there is a file, in the store of a warehouse.
	Exists(ctx context.Context, warehouse, location string) (bool, error)
}

// Options are what a Restorer is made of. All without a default are required.
type Options struct {
	Log Log
	// Open opens the place of a URL, or the cluster's own for an empty one.
	Open func(ctx context.Context, url string) (*Place, error)
	// Files are looked for after the state has given way.
	Files Files
	// Restored is called on this node before that, so that Files are those of the
	// restored warehouses.
	Restored func() error
	// Node is this node's id.
	Node string
	// Scratch is a folder for the states that are replayed. What is in it goes.
	Scratch string
	// Beat is how often the record tells that work goes on. Default: 1 s.
	Beat time.Duration
	// Logger gets what operators should see. Default: slog.Default().
	Logger *slog.Logger
}

// Restorer restores backups into this cluster.
type Restorer struct {
	opts   Options
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	stopped bool
	working sync.WaitGroup
}

// New makes a Restorer.
func New(opts Options) (*Restorer, error) {
	if opts.Log == nil || opts.Open == nil || opts.Files == nil || opts.Restored == nil || opts.Node == "" || opts.Scratch == "" {
		return nil, errors.New("restore: an option is missing")
	}
	if opts.Beat == 0 {
		opts.Beat = time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	r := &Restorer{opts: opts}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// Stop ends what this node works on; another may go on with it.
func (r *Restorer) Stop(context.Context) error {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.cancel()
	r.working.Wait()
	return nil
}

// Get returns a restore by its id, the last one for an empty id.
func (r *Restorer) Get(ctx context.Context, id string) (*Restore, error) {
	v, err := r.opts.Log.Current(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	rec, _, ok, err := v.Restore()
	switch {
	case err != nil:
		return nil, err
	case !ok || id != "" && rec.GetId() != id:
		return nil, fmt.Errorf("%w: %q is not the last one of this cluster", ErrNoRestore, id)
	}
	return show(rec, v.Index, r.opts.Log.NowMs()), nil
}

// Start begins a restore on this node and returns how it stands. Where it is
// known already under its id it is not begun again, unless nobody works on it any more.
func (r *Restorer) Start(ctx context.Context, q Request) (*Restore, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	rec, own, known, err := r.before(ctx, q)
	if err != nil || known != nil {
		return known, err
	}
	if rec.current.GetStatus() == state.RestoreStatus_RESTORE_STATUS_CHECKING {
		return r.goOn(ctx, rec)
	}
	place, err := r.opts.Open(ctx, q.From)
	if err != nil {
		return nil, err
	}
	p, err := newPlan(ctx, place, own, q)
	if err == nil {
		err = rec.update(ctx, step{
			preconditions: nothing(),
			writes:        []*command.Write{noPieces()},
			refused:       fmt.Errorf("%w: something was just made in it", ErrNotEmpty),
		}, func(s *state.Restore) { r.fill(s, p) })
	}
	if err != nil {
		return nil, errors.Join(taken(err), place.close())
	}
	return r.begin(rec, func(ctx context.Context) error {
		return errors.Join(r.restore(ctx, p, rec), place.close())
	})
}

// goOn takes over where the state has given way already and files were looked for.
func (r *Restorer) goOn(ctx context.Context, rec *record) (*Restore, error) {
	err := rec.update(ctx, step{}, func(s *state.Restore) {
		s.Node, s.Checked, s.MissingCount, s.Missing, s.Unchecked, s.UncheckedReason = r.opts.Node, 0, 0, nil, 0, ""
	})
	if err != nil {
		return nil, taken(err)
	}
	return r.begin(rec, func(ctx context.Context) error { return r.finish(ctx, rec) })
}

// taken says it of a restore that somebody else has begun at the same moment.
func taken(err error) error {
	if errors.Is(err, errTakenOver) {
		return fmt.Errorf("%w: it was begun just now", ErrUnderWay)
	}
	return err
}

// before looks at what is known of the restore, and refuses one that can't be begun.
// own is this cluster's id. Where there is nothing to begin, known is how it stands.
func (r *Restorer) before(ctx context.Context, q Request) (rec *record, own string, known *Restore, err error) {
	v, err := r.opts.Log.Current(ctx)
	if err != nil {
		return nil, "", nil, err
	}
	defer v.Close()
	last, revision, _, err := v.Restore()
	if err != nil {
		return nil, "", nil, err
	}
	now := r.opts.Log.NowMs()
	alive := underWay(last) && last.GetLeaseMs() > now
	mine := last.GetId() == q.ID
	switch {
	case mine && (alive || !underWay(last)):
		return nil, "", show(last, v.Index, now), nil
	case alive:
		return nil, "", nil, fmt.Errorf("%w: %s, on node %s", ErrUnderWay, last.GetId(), last.GetNode())
	}
	rec = &record{log: r.opts.Log, current: last, revision: revision}
	if mine && last.GetStatus() == state.RestoreStatus_RESTORE_STATUS_CHECKING {
		return rec, "", nil, nil
	}
	cluster, ok, err := v.Cluster()
	if err != nil {
		return nil, "", nil, err
	}
	if !ok {
		return nil, "", nil, fmt.Errorf("%w: the cluster is being founded: try again in a moment", ErrUnderWay)
	}
	return rec, cluster.GetId(), nil, checkEmpty(v)
}

// fill makes the record of a restore that is begun.
func (r *Restorer) fill(s *state.Restore, p *plan) {
	proto.Reset(s)
	q := p.request
	s.Id, s.Status, s.Principal = q.ID, state.RestoreStatus_RESTORE_STATUS_COPYING, q.Principal
	s.StartedMs, s.Node = r.opts.Log.NowMs(), r.opts.Node
	s.Store, s.ClusterId, s.Snapshot = p.place.Root, p.snapshot.ClusterID, p.snapshot.ID
	s.ToIndex, s.ToEnd = q.ToIndex, q.ToEnd
	if !q.ToTime.IsZero() {
		s.ToMs = uint64(q.ToTime.UnixMilli())
	}
	s.BytesTotal = uint64(p.snapshot.Bytes)
}

// begin works in the background.
func (r *Restorer) begin(rec *record, work func(context.Context) error) (*Restore, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil, fmt.Errorf("%w: this node is stopping", ErrUnderWay)
	}
	out := show(rec.current, 0, r.opts.Log.NowMs())
	r.working.Add(1)
	go func() {
		defer r.working.Done()
		if err := work(r.ctx); err != nil {
			r.opts.Logger.Error("a restore did not succeed", "restore", out.ID, "error", err)
		}
	}()
	return out, nil
}

// lastWord bounds what is still written when the work has ended.
const lastWord = 10 * time.Second

// restore does the whole work.
func (r *Restorer) restore(ctx context.Context, p *plan, rec *record) error {
	r.opts.Logger.Info("restoring", "restore", p.request.ID, "snapshot", p.snapshot.ID, "of_cluster", p.snapshot.ClusterID, "store", p.place.Root)
	content, err := r.copy(ctx, p, rec)
	if err == nil {
		err = r.giveWay(ctx, rec, content)
	}
	if err != nil && ctx.Err() == nil && rec.gaveWay(ctx) {
		err = nil
	}
	if err == nil {
		return r.finish(ctx, rec)
	}
	if errors.Is(err, errTakenOver) {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	if ctx.Err() != nil {
		// This node stops: another one can begin anew.
		return errors.Join(err, rec.update(last, step{giveBack: true}, func(*state.Restore) {}))
	}
	return errors.Join(err, rec.update(last, step{writes: []*command.Write{noPieces()}}, func(s *state.Restore) {
		s.Status, s.Error, s.FinishedMs = state.RestoreStatus_RESTORE_STATUS_FAILED, err.Error(), r.opts.Log.NowMs()
	}))
}

// copy brings the snapshot into the state, in pieces.
func (r *Restorer) copy(ctx context.Context, p *plan, rec *record) (*content, error) {
	var read, entries, index atomic.Uint64
	tell := func(s *state.Restore) {
		s.BytesRead, s.Entries, s.Index = read.Load(), entries.Load(), index.Load()
	}
	var beat sync.WaitGroup
	stop := make(chan struct{})
	beat.Add(1)
	go func() {
		defer beat.Done()
		r.heartbeat(ctx, stop, rec, tell)
	}()
	defer beat.Wait()
	defer close(stop)
	out := &pieces{ctx: ctx, record: rec, tell: tell}
	found, err := p.write(ctx, out, filepath.Join(r.opts.Scratch, "replay"), watch{
		read:    func(n int64) { read.Store(uint64(n)) },
		entries: func(n, last uint64) { entries.Store(n); index.Store(last) },
	})
	if err != nil {
		return nil, err
	}
	return found, out.flush()
}

// giveWay lets the state give way to what was brought in.
func (r *Restorer) giveWay(ctx context.Context, rec *record, c *content) error {
	v, err := r.opts.Log.Current(ctx)
	if err != nil {
		return err
	}
	own, err := keepOwn(v, c.warehouses)
	v.Close()
	if err != nil {
		return err
	}
	stream := state.RestorePieces()
	return rec.update(ctx, step{
		preconditions: nothing(),
		// The snapshot may be of a cluster that was being restored itself.
		writes:  append(own, noPieces()),
		restore: command.RestoreFrom(stream.Start, stream.End),
		timeout: giveWayTimeout,
		refused: fmt.Errorf("%w any more: something was made in it while the snapshot was read", ErrNotEmpty),
	}, func(s *state.Restore) {
		s.Status = state.RestoreStatus_RESTORE_STATUS_CHECKING
		s.Index, s.Term, s.TimeMs, s.Checksum = c.header.Index, c.header.Term, c.header.TimeMs, c.header.Checksum[:]
		s.Tables = c.tables
	})
}

// finish looks for metadata files and ends the restore.
func (r *Restorer) finish(ctx context.Context, rec *record) error {
	err := r.opts.Restored()
	if err == nil {
		err = r.lookForFiles(ctx, rec)
	}
	if errors.Is(err, errTakenOver) {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	if ctx.Err() != nil {
		return errors.Join(err, rec.update(last, step{giveBack: true}, func(*state.Restore) {}))
	}
	done := rec.update(last, step{}, func(s *state.Restore) {
		s.Status, s.FinishedMs = state.RestoreStatus_RESTORE_STATUS_DONE, r.opts.Log.NowMs()
		if err != nil {
			// The state is restored all the same.
			s.UncheckedReason = err.Error()
		}
		if rest := s.GetChecked() + s.GetUnchecked(); rest < s.GetTables() {
			s.Unchecked += s.GetTables() - rest
		}
	})
	s := rec.current
	r.opts.Logger.Info("restored", "restore", s.GetId(), "index", s.GetIndex(), "checksum", fmt.Sprintf("%x", s.GetChecksum()),
		"tables", s.GetTables(), "files_missing", s.GetMissingCount(), "files_unchecked", s.GetUnchecked())
	return errors.Join(err, done)
}
