package tasks

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// Log is the replicated log and the state that it leads to on this node.
type Log interface {
	// Propose puts a transaction into the log. After an error nothing is known.
	Propose(ctx context.Context, tx *command.Transaction) (command.Result, error)
	// View gives this node's state, which may be behind. The caller closes it.
	View() (*state.View, error)
	// WaitApplied returns once this node has applied the log up to index.
	WaitApplied(ctx context.Context, index uint64) error
	// NowMs is the replicated time, milliseconds since the Unix epoch.
	NowMs() uint64
}

// StoreOf gives the store of a warehouse.
type StoreOf func(ctx context.Context, warehouse string) (Store, error)

// Store is where the files are.
type Store interface {
	// Get returns a whole object of at most maxBytes.
	Get(ctx context.Context, location string, maxBytes int64) ([]byte, error)
	// DeleteMany removes objects; missing ones are no error.
	DeleteMany(ctx context.Context, locations []string) error
}

// Observer is told what happens inside. Nil members are skipped.
type Observer struct {
	// RunEnded is called after each attempt at a task.
	RunEnded func(result Result, took time.Duration)
	// FilesPurged is called for files that were deleted.
	FilesPurged func(n int)
}

// Result is how an attempt at a task ended.
type Result string

// The results.
const (
	// Done is an attempt that left nothing to do.
	Done Result = "done"
	// Failed is an attempt that will be made again, later.
	Failed Result = "failed"
	// GivenBack is an attempt that ended with the node.
	GivenBack Result = "given_back"
	// Lost is an attempt whose task was cancelled or taken by another node.
	Lost Result = "lost"
)

// Options are what a Runner is made of.
type Options struct {
	Log    Log
	Stores StoreOf
	Logger *slog.Logger
	// Node is this node's id.
	Node string
	// Slots is how many tasks this node works on at one time. Default 4.
	Slots int
	// Batch is how many files are deleted between two looks at the lease. Default 4,000.
	Batch int
	// Lease is for how long a task is taken. Default 15 s.
	Lease time.Duration
	// Renew is how often the lease is renewed and progress written down. Default 5 s.
	Renew time.Duration
	// Margin is how long before the end of the lease work stops: longer than the
	// clocks of two nodes differ. Default 2 s.
	Margin time.Duration
	// Poll is how often this node looks for tasks. Default 1 s.
	Poll time.Duration
	// Report is how often progress is logged. Default 10 s.
	Report time.Duration
	// Keep is how long a task is shown after its end. Default 7 days.
	Keep time.Duration
	// RetryFirst and RetryMost bound the pause after a failed attempt: it doubles
	// each time. Defaults 5 s and 10 min.
	RetryFirst, RetryMost time.Duration
	Observer              Observer
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{
		{&o.Lease, 15 * time.Second},
		{&o.Renew, 5 * time.Second},
		{&o.Margin, 2 * time.Second},
		{&o.Poll, time.Second},
		{&o.Report, 10 * time.Second},
		{&o.Keep, 7 * 24 * time.Hour},
		{&o.RetryFirst, 5 * time.Second},
		{&o.RetryMost, 10 * time.Minute},
	} {
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if o.Slots == 0 {
		o.Slots = 4
	}
	if o.Batch == 0 {
		o.Batch = 4000
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// proposeTimeout bounds one proposal: well below a lease.
const proposeTimeout = 4 * time.Second

// Runner works on tasks, several at a time. It is started by New and stopped by
// Stop. It is safe for concurrent use.
type Runner struct {
	opts Options

	kick    chan struct{}
	ended   chan struct{} // a task's work came to an end
	closing context.Context
	close   context.CancelFunc
	done    sync.WaitGroup

	mu     sync.Mutex
	active map[string]bool // ids of the tasks that this node works on

	finder finder // the loop's alone
}

// New makes a runner and starts it.
func New(opts Options) (*Runner, error) {
	opts.setDefaults()
	switch {
	case opts.Log == nil:
		return nil, errors.New("tasks: Log is missing")
	case opts.Stores == nil:
		return nil, errors.New("tasks: Stores is missing")
	case opts.Node == "":
		return nil, errors.New("tasks: Node is missing")
	}
	r := &Runner{
		opts:   opts,
		kick:   make(chan struct{}, 1),
		ended:  make(chan struct{}, 1),
		active: make(map[string]bool),
		finder: finder{finished: make(map[string]uint64)},
	}
	r.closing, r.close = context.WithCancel(context.Background())
	r.done.Go(r.loop)
	return r, nil
}

// Kick has the runner look for tasks at once.
func (r *Runner) Kick() { signal(r.kick) }

// Stop ends the work of this node, in the middle if need be, and gives the tasks
// back so that others go on at once. It is called once.
func (r *Runner) Stop(ctx context.Context) error {
	r.close()
	stopped := make(chan struct{})
	go func() {
		r.done.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (r *Runner) loop() {
	for {
		r.takeDue()
		// Spread, so that the nodes don't all reach for a task at the same moment.
		pause := time.NewTimer(r.opts.Poll - r.opts.Poll/8 + rand.N(r.opts.Poll/4+1))
		select {
		case <-pause.C:
		case <-r.kick:
		case <-r.ended:
			// A look that came after the end was written down, and before the task's slot
			// was free, has passed over it.
			r.finder.forget()
		case <-r.closing.Done():
			pause.Stop()
			return
		}
		pause.Stop()
	}
}

// takeDue takes what is to be done, as far as there are slots.
func (r *Runner) takeDue() {
	due, err := r.finder.due(r)
	if err != nil {
		if r.closing.Err() == nil {
			r.opts.Logger.Warn("the state can't be searched for tasks", "error", err)
		}
		return
	}
	for _, task := range due {
		if r.closing.Err() != nil || !r.occupy(task.id) {
			return
		}
		h, err := r.take(task)
		if h == nil {
			r.release(task.id)
			if err != nil && r.closing.Err() == nil {
				r.opts.Logger.Debug("a task could not be taken", "task", task.name(), "error", err)
			}
			continue
		}
		r.done.Go(func() {
			r.work(h)
			r.release(task.id)
			signal(r.ended)
		})
	}
}

// occupy takes a slot for a task; it is false where there is none.
func (r *Runner) occupy(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.active) >= r.opts.Slots {
		return false
	}
	r.active[id] = true
	return true
}

func (r *Runner) release(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.active, id)
}

func (r *Runner) isActive(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.active[id]
}
