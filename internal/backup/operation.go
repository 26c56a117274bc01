package backup

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Operation is long work on snapshots as it stands now. Who wants its end asks
// again and again, on whichever node: a connection that breaks ends nothing.
type Operation struct {
	// ID tells which node works on it, after an "@".
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Status is waiting, running, done or failed.
	Status OperationStatus `json:"status"`
	Node   string          `json:"node"`
	// Backup is the snapshot that is tried, or that was made.
	Backup string `json:"backup"`
	// Phase is what is being done, and how much of it is done; BytesTotal is 0
	// where that is not known.
	Phase      Phase      `json:"phase"`
	BytesDone  int64      `json:"bytes_done"`
	BytesTotal int64      `json:"bytes_total"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	// Error is why it failed.
	Error *string `json:"error"`
	// Manifest is of the snapshot that was made or tried; nil before.
	Manifest *Manifest `json:"manifest"`
	// StateChecksum is what a trial's restored state has.
	StateChecksum string `json:"state_checksum,omitempty"`
}

// Kind is what an operation does.
type Kind string

// The kinds.
const (
	KindCreate Kind = "create"
	KindVerify Kind = "verify"
)

// OperationStatus is where an operation stands.
type OperationStatus string

// The statuses.
const (
	StatusWaiting OperationStatus = "waiting"
	StatusRunning OperationStatus = "running"
	StatusDone    OperationStatus = "done"
	StatusFailed  OperationStatus = "failed"
)

const (
	// keptOperations is how many that ended are remembered.
	keptOperations = 64
	// maxWaiting bounds those that wait for their turn.
	maxWaiting = 16
)

// operations does one piece of long work after the other, so that none of them is
// felt more than one alone.
type operations struct {
	node   string
	now    func() time.Time
	logger *slog.Logger

	ctx   context.Context
	stop  context.CancelFunc
	group sync.WaitGroup
	turn  chan struct{}

	mu   sync.Mutex
	all  []*operation // oldest first
	done bool
}

// operation is one that is known; its fields are guarded by operations.mu.
type operation struct {
	Operation
	key     string // of the request that began it; "" is none
	subject string // the snapshot that was asked for; "" is a new one
}

func newOperations(node string, now func() time.Time, logger *slog.Logger) *operations {
	o := &operations{node: node, now: now, logger: logger, turn: make(chan struct{}, 1)}
	o.ctx, o.stop = context.WithCancel(context.Background())
	return o
}

// close ends all of them and waits until they have, at most as long as ctx.
func (o *operations) close(ctx context.Context) error {
	o.mu.Lock()
	o.done = true
	o.mu.Unlock()
	o.stop()
	ended := make(chan struct{})
	go func() { o.group.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("work on snapshots did not end in time: %w", ctx.Err())
	}
}

// begin does work as soon as it is its turn. Where the same is under way already,
// and would give the caller what it wants, that is given.
// A key that began one before begins no other.
func (o *operations) begin(kind Kind, backup, key string, work func(context.Context, *operation) error) (Operation, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done {
		return Operation{}, fmt.Errorf("%w: this node is stopping", ErrNotNow)
	}
	waiting := 0
	for _, other := range o.all {
		if other.Status == StatusWaiting {
			waiting++
		}
		// A snapshot that is being made does not hold what came after its begin.
		joins := other.Status == StatusWaiting || other.Status == StatusRunning && kind == KindVerify
		same := other.Kind == kind && other.subject == backup
		switch {
		case key != "" && other.key == key && !same:
			return Operation{}, ErrKeyReused
		case key != "" && other.key == key, joins && same:
			return other.Operation, nil
		}
	}
	if waiting >= maxWaiting {
		return Operation{}, fmt.Errorf("%w: too much work on snapshots is waiting already", ErrNotNow)
	}
	op := &operation{key: key, subject: backup, Operation: Operation{
		ID: strings.ToLower(rand.Text()[:12]) + "@" + o.node, Kind: kind, Status: StatusWaiting, Node: o.node, Backup: backup, StartedAt: o.now().UTC(),
	}}
	o.all = append(o.all, op)
	o.trim()
	o.group.Go(func() { o.run(op, work) })
	return op.Operation, nil
}

// trim forgets what ended long ago.
func (o *operations) trim() {
	ended := 0
	for _, op := range o.all {
		if op.FinishedAt != nil {
			ended++
		}
	}
	o.all = slices.DeleteFunc(o.all, func(op *operation) bool {
		if op.FinishedAt == nil || ended <= keptOperations {
			return false
		}
		ended--
		return true
	})
}

func (o *operations) run(op *operation, work func(context.Context, *operation) error) {
	err := o.exclusive(o.ctx, func(ctx context.Context) error {
		o.change(func() { op.Status = StatusRunning })
		return work(ctx, op)
	})
	o.change(func() {
		end := o.now().UTC()
		op.FinishedAt, op.Status = &end, StatusDone
		if err != nil {
			text := err.Error()
			op.Status, op.Error = StatusFailed, &text
		}
	})
	if err != nil {
		o.logger.Warn("work on a snapshot failed", slog.String("operation", op.ID), slog.String("kind", string(op.Kind)), slog.Any("error", err))
	}
}

// exclusive does work when it is its turn.
func (o *operations) exclusive(ctx context.Context, work func(context.Context) error) error {
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
		return work(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// change changes what is known of an operation.
func (o *operations) change(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

// watch notes the progress of an operation.
func (o *operations) watch(op *operation) Watch {
	return func(phase Phase, done, total int64) {
		o.change(func() { op.Phase, op.BytesDone, op.BytesTotal = phase, done, total })
	}
}

// find gives an operation by its id.
func (o *operations) find(id string) (Operation, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, op := range o.all {
		if op.ID == id {
			return op.Operation, nil
		}
	}
	return Operation{}, fmt.Errorf("%w: node %s knows nothing of %s: it ended long ago, or the node was restarted", ErrNoOperation, o.node, id)
}
