package secret

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/floeberg/floeberg/fsm/command"
)

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	log := newTestLog(t)
	key, name := newKey(t)
	b := newBox(t, options(log, key))
	if err := ownNotes.keep(t.Context(), b, log, "a", "the secret"); err != nil {
		t.Fatal(err)
	}
	// Another node, and this one after a restart.
	for _, other := range []*Box{b, newBox(t, options(testLog{log.Log, true}, key)), newBox(t, options(log, key))} {
		if got, err := ownNotes.read(t.Context(), other, log, "a"); err != nil || got != "the secret" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	keys := known(t, log)
	if len(keys.Keys) != 1 || keys.Keys[0].GetClusterKey() != name || string(keys.Seals) != string(keys.Keys[0].GetId()) {
		t.Errorf("data keys: %v", keys)
	}
	s, err := b.Status(t.Context())
	if err != nil || len(s.DataKeys) != 1 || s.DataKeys[0].Secrets != 1 || !s.DataKeys[0].Seals || s.DataKeys[0].ClusterKey != name {
		t.Errorf("status %+v, %v", s, err)
	}
	if len(s.Nodes) != 1 || s.Nodes[0].ClusterKey != name || s.Nodes[0].Open != 1 || s.Nodes[0].Closed != 0 || s.Nodes[0].Problem != "" {
		t.Errorf("nodes %+v", s.Nodes)
	}
	if hint, troubles := b.Hint(), b.Troubles(t.Context()); hint != "" || len(troubles) != 0 {
		t.Errorf("hint %q, troubles %q", hint, troubles)
	}
	_, err = b.Seal(t.Context(), "other/a", nil)
	if err == nil || !strings.Contains(err.Error(), `nobody owns secrets of kind "other"`) {
		t.Errorf("of a kind that a rotation would not find: %v", err)
	}
	_, err = b.Open(t.Context(), "note/a", []byte("x"))
	is(t, "what is not sealed", err, ErrDamaged)
}

// A node that follows makes the first data key only for who waits for it.
func TestFirstDataKey(t *testing.T) {
	t.Parallel()
	log := newTestLog(t)
	log.follows = true
	key, _ := newKey(t)
	b := newBox(t, options(log, key))
	<-b.nextLook()
	if keys := known(t, log); len(keys.Keys) != 0 {
		t.Errorf("a follower made one unasked: %v", keys)
	}
	if err := ownNotes.keep(t.Context(), b, log, "a", "the secret"); err != nil {
		t.Fatal(err)
	}
	if keys := known(t, log); len(keys.Keys) != 1 || len(keys.Kinds) != 1 {
		t.Errorf("data keys: %v", keys)
	}
}

func TestWithoutKey(t *testing.T) {
	t.Parallel()
	log := newTestLog(t)
	none := newBox(t, options(log, ""))
	_, err := none.Seal(t.Context(), "note/a", []byte("x"))
	is(t, "to seal", err, ErrNoKey)
	_, err = none.Rotate(t.Context(), true)
	is(t, "to rotate", err, ErrNoKey)
	if hint, troubles := none.Hint(), none.Troubles(t.Context()); hint != "" || len(troubles) != 0 {
		t.Errorf("a cluster without secrets needs none: %q %q", hint, troubles)
	}
	key, _ := newKey(t)
	b := newBox(t, options(log, key))
	if err := ownNotes.keep(t.Context(), b, log, "a", "the secret"); err != nil {
		t.Fatal(err)
	}
	_, err = ownNotes.read(t.Context(), none, log, "a")
	is(t, "to open", err, ErrNoKey)
	await(t, "the node to say what it lacks", func() bool { return none.Hint() != "" })
	if troubles := none.Troubles(t.Context()); len(troubles) != 1 || !strings.Contains(troubles[0], "node n1") || !strings.Contains(troubles[0], "--secret-key") {
		t.Errorf("troubles %q", troubles)
	}
}

// A node with another key says so, reads nothing and changes nothing.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	log := newTestLog(t)
	key, name := newKey(t)
	b := newBox(t, options(log, key))
	if err := ownNotes.keep(t.Context(), b, log, "a", "the secret"); err != nil {
		t.Fatal(err)
	}
	before, _ := log.Machine().Checksum()
	other, otherName := newKey(t)
	wrong := newBox(t, options(log, other))
	_, err := ownNotes.read(t.Context(), wrong, log, "a")
	is(t, "to open", err, ErrWrongKey)
	if !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), otherName) {
		t.Errorf("it does not say which key is needed and which is there: %v", err)
	}
	_, err = wrong.Seal(t.Context(), "note/b", []byte("x"))
	is(t, "to seal", err, ErrWrongKey)
	_, err = wrong.Rotate(t.Context(), false)
	is(t, "to rotate", err, ErrRefused)
	if hint := wrong.Hint(); !strings.Contains(hint, "another one than the cluster's") || strings.Contains(hint, "local:") {
		t.Errorf("hint %q", hint)
	}
	if after, _ := log.Machine().Checksum(); after != before {
		t.Error("it changed the state")
	}
	if got, err := ownNotes.read(t.Context(), b, log, "a"); err != nil || got != "the secret" {
		t.Errorf("got %q, %v", got, err)
	}
}

// farKeeper is a key that somebody else holds.
type farKeeper struct {
	keeper
	down  atomic.Bool
	asked atomic.Int64
}

var errDown = errors.New("connection refused")

func (k *farKeeper) encrypt(ctx context.Context, plain []byte) ([]byte, error) {
	k.asked.Add(1)
	if k.down.Load() {
		return nil, errDown
	}
	return k.keeper.encrypt(ctx, plain)
}

func (k *farKeeper) decrypt(ctx context.Context, wrapped []byte) ([]byte, error) {
	k.asked.Add(1)
	if k.down.Load() {
		return nil, errDown
	}
	return k.keeper.decrypt(ctx, wrapped)
}

func ringOf(k keeper) keyring { return keyring{{name: "test://key", scheme: "test", keeper: k}} }

// startWith starts a box with a key of somebody else.
func startWith(t *testing.T, log testLog, k keeper) *Box {
	t.Helper()
	opts := options(log, "")
	opts.setDefaults()
	b := start(opts, ringOf(k))
	closes(t, b)
	return b
}

// A node starts without whoever holds the key, says what is missing, and goes on when
// they are there. Once it has the data keys it needs them no more.
func TestServiceIsDown(t *testing.T) {
	t.Parallel()
	log := newTestLog(t)
	local, err := newLocalKeeper(make([]byte, keyBytes))
	if err != nil {
		t.Fatal(err)
	}
	s := &farKeeper{keeper: local}
	s.down.Store(true)
	b := startWith(t, log, s)
	await(t, "the first attempt", func() bool { return b.Hint() != "" })
	_, err = b.Seal(t.Context(), "note/a", []byte("x"))
	is(t, "to seal", err, ErrUnavailable)
	is(t, "its reason", err, errDown)
	if troubles := b.Troubles(t.Context()); len(troubles) != 1 || !strings.Contains(troubles[0], errDown.Error()) {
		t.Errorf("troubles %q", troubles)
	}
	if strings.Contains(b.Hint(), errDown.Error()) {
		t.Errorf("everybody is told too much: %q", b.Hint())
	}
	s.down.Store(false)
	await(t, "another attempt", func() bool { return b.Hint() == "" })
	if err := ownNotes.keep(t.Context(), b, log, "a", "the secret"); err != nil {
		t.Fatal(err)
	}

	// Another node, started while they are away again.
	later := &farKeeper{keeper: local}
	later.down.Store(true)
	second := startWith(t, log, later)
	await(t, "the attempt to open", func() bool { return second.Hint() != "" })
	_, err = ownNotes.read(t.Context(), second, log, "a")
	is(t, "to open", err, ErrUnavailable)
	later.down.Store(false)
	await(t, "another attempt to open", func() bool { return second.Hint() == "" })
	before := later.asked.Load()
	for range 100 {
		if got, err := ownNotes.read(t.Context(), second, log, "a"); err != nil || got != "the secret" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if after := later.asked.Load(); after != before {
		t.Errorf("the service was asked %d times for secrets", after-before)
	}
}

// writeOnly is a key that may be used in one direction.
type writeOnly struct{}

func (writeOnly) encrypt(context.Context, []byte) ([]byte, error) { return []byte("wrapped"), nil }

func (writeOnly) decrypt(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("no right to decrypt")
}

// A key that wraps and does not unwrap is found out before anything is sealed with it.
func TestMintIsTried(t *testing.T) {
	t.Parallel()
	log := newTestLog(t)
	b := startWith(t, log, writeOnly{})
	_, err := b.Seal(t.Context(), "note/a", []byte("x"))
	is(t, "to seal", err, ErrUnavailable)
	if !strings.Contains(err.Error(), "no right to decrypt") {
		t.Errorf("it does not say why: %v", err)
	}
	if keys := known(t, log); len(keys.Keys) != 0 {
		t.Errorf("data keys: %v", keys)
	}
}

// What is sealed with a key that does not seal any more does not get into the state.
func TestPrecondition(t *testing.T) {
	t.Parallel()
	log := newTestLog(t)
	key, _ := newKey(t)
	b := newBox(t, options(log, key))
	sealed, err := b.Seal(t.Context(), "note/a", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	still, err := b.Precondition(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	res, err := log.Propose(t.Context(), &command.Transaction{
		Preconditions: []*command.Precondition{still}, Writes: []*command.Write{command.PutValue(ownNotes.key("a"), sealed)},
	})
	if err != nil || res.Outcome != command.Rejected {
		t.Errorf("%v, %v", res, err)
	}
	_, err = b.Precondition([]byte("x"))
	is(t, "of what is not sealed", err, ErrDamaged)
}
