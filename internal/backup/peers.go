package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Peers reaches the keepers of all nodes, this one's included.
type Peers interface {
	// LeaderID is who leads; "" where nobody is known to.
	LeaderID() string
	// Ask has a node's keeper answer a question; see Keeper.Answer. A node that the
	// cluster does not have is ErrNoNode.
	Ask(ctx context.Context, node string, question []byte) ([]byte, error)
}

// question is what a keeper asks another one. Old and new programs ask each
// other: fields are only ever added, and what is not known is refused.
type question struct {
	Do        string `json:"do"`
	Operation string `json:"operation,omitempty"`
	Key       string `json:"key,omitempty"`
}

// What can be asked.
const (
	askCreate    = "create"
	askOperation = "operation"
	askStatus    = "status"
)

// answer is what comes back: one of its fields.
type answer struct {
	Operation *Operation `json:"operation,omitempty"`
	Status    *Status    `json:"status,omitempty"`
	// The others are refusals.
	NotNow      string `json:"not_now,omitempty"`
	NoOperation string `json:"no_operation,omitempty"`
	KeyReused   bool   `json:"key_reused,omitempty"`
}

// said is an error of another node, in its own words.
type said struct {
	kind error
	text string
}

func (s *said) Error() string { return s.text }
func (s *said) Unwrap() error { return s.kind }

func (k *Keeper) ask(ctx context.Context, node string, q question) (*answer, error) {
	data, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	raw, err := k.opts.Peers.Ask(ctx, node, data)
	if err != nil {
		return nil, fmt.Errorf("%w: node %s does not answer: %w", ErrNotNow, node, err)
	}
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return nil, fmt.Errorf("the answer of node %s can't be read: %w", node, err)
	}
	switch {
	case a.NotNow != "":
		return nil, &said{ErrNotNow, a.NotNow}
	case a.NoOperation != "":
		return nil, &said{ErrNoOperation, a.NoOperation}
	case a.KeyReused:
		return nil, ErrKeyReused
	}
	return &a, nil
}

// Answer answers the question of another node's keeper.
func (k *Keeper) Answer(_ context.Context, data []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(data, &q); err != nil {
		return nil, fmt.Errorf("malformed question: %w", err)
	}
	var a answer
	var err error
	switch q.Do {
	case askCreate:
		var op Operation
		op, err = k.beginCreate(q.Key)
		a.Operation = &op
	case askOperation:
		var op Operation
		op, err = k.ops.find(q.Operation)
		a.Operation = &op
	case askStatus:
		s := k.Status()
		a.Status = &s
	default:
		return nil, fmt.Errorf("this program does not know how to %q", q.Do)
	}
	switch {
	case errors.Is(err, ErrNotNow):
		a = answer{NotNow: err.Error()}
	case errors.Is(err, ErrNoOperation):
		a = answer{NoOperation: err.Error()}
	case errors.Is(err, ErrKeyReused):
		a = answer{KeyReused: true}
	case err != nil:
		return nil, err
	}
	return json.Marshal(a)
}

// Create has the leader make a snapshot, and returns as soon as that is begun. A
// key that is not "" names the request: sent again it begins nothing.
func (k *Keeper) Create(ctx context.Context, key string) (*Operation, error) {
	leader := k.opts.Peers.LeaderID()
	if leader == "" {
		return nil, fmt.Errorf("%w: there is no leader", ErrNotNow)
	}
	a, err := k.ask(ctx, leader, question{Do: askCreate, Key: key})
	if err != nil {
		return nil, err
	}
	return a.Operation, nil
}

func (k *Keeper) beginCreate(key string) (Operation, error) {
	v, err := k.open()
	if err != nil {
		return Operation{}, err
	}
	return k.ops.begin(KindCreate, "", key, func(ctx context.Context, op *operation) error {
		m, err := k.write(ctx, v, k.ops.watch(op))
		if err != nil {
			return err
		}
		k.ops.change(func() { op.Manifest, op.Backup = m, m.ID })
		return nil
	})
}

// Verify has this node restore a snapshot into a scratch state, and returns as
// soon as that is begun. The key is as that of Create.
func (k *Keeper) Verify(ctx context.Context, id, key string) (*Operation, error) {
	v, err := k.open()
	if err != nil {
		return nil, err
	}
	m, err := k.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	op, err := k.ops.begin(KindVerify, m.ID, key, func(ctx context.Context, op *operation) error {
		k.ops.change(func() { op.Manifest = m })
		if err := k.checkRoom(m); err != nil {
			return err
		}
		found, err := v.Verify(ctx, m, k.opts.Scratch, k.ops.watch(op))
		if found != nil {
			k.ops.change(func() { op.StateChecksum = found.StateChecksum })
		}
		return err
	})
	return &op, err
}

// A state takes on disk up to about three times what its snapshot takes; what else
// needs room meanwhile must not be starved.
const (
	roomFactor = 4
	roomKept   = 512 << 20
)

// checkRoom refuses a trial for which there may not be room.
func (k *Keeper) checkRoom(m *Manifest) error {
	if k.opts.Room == nil {
		return nil
	}
	free, err := k.opts.Room()
	if err != nil {
		return fmt.Errorf("the room for a scratch state: %w", err)
	}
	if need := m.Bytes*roomFactor + roomKept; free < need {
		return fmt.Errorf("this node has %d MB free for a scratch state, and %s may need %d: ask another node, or try it elsewhere with --from",
			free>>20, m.ID, need>>20)
	}
	return nil
}

// Operation tells how an operation stands, whichever node works on it.
func (k *Keeper) Operation(ctx context.Context, id string) (*Operation, error) {
	_, node, ok := strings.Cut(id, "@")
	if !ok || node == "" {
		return nil, fmt.Errorf("%w: %q is no id of one", ErrNoOperation, id)
	}
	a, err := k.ask(ctx, node, question{Do: askOperation, Operation: id})
	if errors.Is(err, ErrNoNode) {
		return nil, fmt.Errorf("%w: %q is of node %q, which the cluster does not have", ErrNoOperation, id, node)
	}
	if err != nil {
		return nil, err
	}
	return a.Operation, nil
}

// NewestID stands for the id of the newest snapshot.
const NewestID = "newest"

// Find returns a snapshot by its id.
func (k *Keeper) Find(ctx context.Context, id string) (*Manifest, error) {
	v, err := k.open()
	if err != nil {
		return nil, err
	}
	if id == NewestID {
		return v.Newest(ctx)
	}
	return v.Find(ctx, id)
}

// List tells what is in the store.
func (k *Keeper) List(ctx context.Context) (*Listing, error) {
	v, err := k.open()
	if err != nil {
		return nil, err
	}
	return v.List(ctx)
}

// statusPatience is how long a leader is waited for that does not answer.
const statusPatience = 2 * time.Second

// ClusterStatus is the leader's status: it writes, so it knows what goes wrong.
// Where it does not answer it is this node's.
func (k *Keeper) ClusterStatus(ctx context.Context) Status {
	ctx, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	if leader := k.opts.Peers.LeaderID(); leader != "" && leader != k.ops.node {
		if a, err := k.ask(ctx, leader, question{Do: askStatus}); err == nil && a.Status != nil {
			return *a.Status
		}
	}
	return k.Status()
}
