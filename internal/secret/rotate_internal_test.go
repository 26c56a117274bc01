package secret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func keepAll(t *testing.T, b *Box, log testLog, owner notes, n int) {
	t.Helper()
	for i := range n {
		if err := owner.keep(t.Context(), b, log, fmt.Sprint(i), fmt.Sprintf("the secret %d", i)); err != nil {
			t.Fatal(err)
		}
	}
}

func readAll(t *testing.T, b *Box, log testLog, owner notes, n int) {
	t.Helper()
	for i := range n {
		if got, err := owner.read(t.Context(), b, log, fmt.Sprint(i)); err != nil || got != fmt.Sprintf("the secret %d", i) {
			t.Errorf("%d: %q, %v", i, got, err)
		}
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	log := newTestLog(t)
	key, name := newKey(t)
	b := newBox(t, options(log, key))
	keepAll(t, b, log, ownNotes, 20)
	first := known(t, log).Keys[0]
	for range 2 {
		old := keyID(known(t, log).Seals)
		r, err := b.Rotate(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		want := &Rotation{DataKey: keyID(known(t, log).Seals).String(), ClusterKey: name, Secrets: 20, Forgotten: []string{old.String()}, Index: r.Index}
		if diff := cmp.Diff(want, r); diff != "" || r.Index == 0 {
			t.Errorf("index %d, (-want +got)\n%s", r.Index, diff)
		}
		readAll(t, b, log, ownNotes, 20)
	}
	keys := known(t, log)
	if _, ok := keys.Find(first.GetId()); ok || len(keys.Keys) != 1 {
		t.Errorf("data keys: %v", keys)
	}
	// What was kept of a secret before can't be opened any more.
	await(t, "the node to forget", func() bool { open, closed := b.Counts(); return open == 1 && closed == 0 })
}

// Another cluster key comes in the place of the first one without a secret being out
// of reach for a moment.
func TestAnotherClusterKey(t *testing.T) {
	t.Parallel()
	log := newTestLog(t)
	old, _ := newKey(t)
	before := newBox(t, options(log, old))
	keepAll(t, before, log, ownNotes, 3)

	next, name := newKey(t)
	both := newBox(t, options(log, next, old))
	readAll(t, both, log, ownNotes, 3)
	r, err := both.Rotate(t.Context(), false)
	if err != nil || r.ClusterKey != name || r.Secrets != 3 || r.Left != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	readAll(t, newBox(t, options(log, next)), log, ownNotes, 3)
	_, err = ownNotes.read(t.Context(), before, log, "0")
	is(t, "with the old one alone", err, ErrWrongKey)
}

// Secrets are made and changed while others are sealed anew, again and again: none is
// lost, none is left behind.
func TestRotateWhileOthersSeal(t *testing.T) {
	t.Parallel()
	log := newTestLog(t)
	key, _ := newKey(t)
	const writers, each, rotations = 4, 30, 6
	nodes := []*Box{newBox(t, options(log, key)), newBox(t, options(testLog{log.Log, true}, key))}
	failed := make(chan error, writers)
	for w := range writers {
		go func() {
			var errs []error
			for i := range each {
				// Each name is written several times, over what a rotation may just have sealed.
				name := fmt.Sprintf("%d-%d", w, i%10)
				errs = append(errs, ownNotes.keep(t.Context(), nodes[w%2], log, name, fmt.Sprintf("%s at %d", name, i)))
			}
			failed <- errors.Join(errs...)
		}()
	}
	for i := range rotations {
		if _, err := nodes[i%2].Rotate(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	for range writers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	r, err := nodes[0].Rotate(t.Context(), false)
	if err != nil || r.Secrets != writers*10 || r.Left != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if keys := known(t, log); len(keys.Keys) != 1 {
		t.Errorf("data keys: %v", keys)
	}
	last := newBox(t, options(log, key))
	for w := range writers {
		for i := range 10 {
			name := fmt.Sprintf("%d-%d", w, i)
			if got, err := ownNotes.read(t.Context(), last, log, name); err != nil || got != fmt.Sprintf("%s at %d", name, 20+i) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	}
}

// A rotation that was cut off behind its first step is brought to its end by whoever
// leads then.
func TestRotationIsResumed(t *testing.T) {
	t.Parallel()
	log := newTestLog(t)
	log.follows = true
	key, _ := newKey(t)
	b := newBox(t, options(log, key))
	keepAll(t, b, log, ownNotes, 5)
	rec, err := b.mint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.sealWithOnly(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if keys := known(t, log); len(keys.Keys) != 2 {
		t.Fatalf("data keys: %v", keys)
	}
	readAll(t, b, log, ownNotes, 5)
	leader := newBox(t, options(testLog{Log: log.Log}, key))
	await(t, "the old data key to be forgotten", func() bool { return len(known(t, log).Keys) == 1 })
	if string(known(t, log).Seals) != string(rec.GetId()) {
		t.Error("another data key seals")
	}
	readAll(t, leader, log, ownNotes, 5)
}

// A program that does not know of some secrets forgets no data key: they may need it.
func TestUnknownKind(t *testing.T) {
	t.Parallel()
	log := newTestLog(t)
	key, _ := newKey(t)
	newer := notes{"newer"}
	opts := options(testLog{log.Log, true}, key) // so that it does nothing unasked
	opts.Owners = append(opts.Owners, newer)
	b := newBox(t, opts)
	keepAll(t, b, log, newer, 2)
	keepAll(t, b, log, ownNotes, 2)

	older := newBox(t, options(log, key))
	r, err := older.Rotate(t.Context(), false)
	if err != nil || r.Secrets != 2 || len(r.Forgotten) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	readAll(t, newBox(t, opts), log, newer, 2)
	if r, err := b.Rotate(t.Context(), false); err != nil || r.Secrets != 4 || len(r.Forgotten) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	readAll(t, b, log, newer, 2)
}

// others are further nodes, some of which do not answer.
type others map[string]*Box

func (o others) Nodes() []string { return []string{"n1", "n2"} }

func (o others) Ask(ctx context.Context, node string, question []byte) ([]byte, error) {
	if o[node] == nil {
		return nil, errors.New("no route to it")
	}
	return o[node].Answer(ctx, question)
}

// No node is left behind, but where that is wanted.
func TestRotationLeavesNobodyBehind(t *testing.T) {
	t.Parallel()
	log := newTestLog(t)
	old, _ := newKey(t)
	next, name := newKey(t)
	far := options(testLog{log.Log, true}, old)
	far.Node = "n2"
	peers := others{"n2": newBox(t, far)}
	opts := options(log, next, old)
	opts.Peers = peers
	b := newBox(t, opts)
	keepAll(t, b, log, ownNotes, 2)
	before := known(t, log)
	refused := func(says ...string) {
		t.Helper()
		_, err := b.Rotate(t.Context(), false)
		is(t, "to rotate", err, ErrRefused)
		for _, what := range says {
			if !strings.Contains(err.Error(), what) {
				t.Errorf("%v does not say %q", err, what)
			}
		}
		if diff := cmp.Diff(string(before.Seals), string(known(t, log).Seals)); diff != "" {
			t.Errorf("something was changed: %s", diff)
		}
	}
	refused("n2 can't open", name, "nothing was changed")
	held := peers["n2"]
	delete(peers, "n2")
	refused("n2 does not answer", "no route to it")
	if s, err := b.Status(t.Context()); err != nil || len(s.Nodes) != 2 || !strings.Contains(s.Nodes[1].Problem, "no route to it") {
		t.Errorf("%+v, %v", s, err)
	}
	r, err := b.Rotate(t.Context(), true)
	if err != nil || r.ClusterKey != name {
		t.Fatalf("%+v, %v", r, err)
	}
	peers["n2"] = held
	await(t, "the node to say that it is left behind", func() bool { return len(b.Troubles(t.Context())) == 1 })
}

// Where the cluster key is lost, what it kept is too, and stays as it is; secrets to
// come can be kept again.
func TestLostClusterKey(t *testing.T) {
	t.Parallel()
	log := newTestLog(t)
	lost, _ := newKey(t)
	before := newBox(t, options(log, lost))
	keepAll(t, before, log, ownNotes, 3)
	next, name := newKey(t)
	b := newBox(t, options(log, next))
	_, err := b.Rotate(t.Context(), false)
	is(t, "unforced", err, ErrRefused)
	r, err := b.Rotate(t.Context(), true)
	if err != nil || r.ClusterKey != name || r.Left != 3 || r.Secrets != 0 || len(r.Forgotten) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := ownNotes.keep(t.Context(), b, log, "0", "told anew"); err != nil {
		t.Fatal(err)
	}
	if got, err := ownNotes.read(t.Context(), b, log, "0"); err != nil || got != "told anew" {
		t.Errorf("got %q, %v", got, err)
	}
	_, err = ownNotes.read(t.Context(), b, log, "1")
	is(t, "of the lost key", err, ErrWrongKey)
	// It was not lost for good.
	found := newBox(t, options(log, next, lost))
	if r, err := found.Rotate(t.Context(), false); err != nil || r.Left != 0 || r.Secrets != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	if keys := known(t, log); len(keys.Keys) != 1 { // which of the boxes forgot the others does not matter
		t.Errorf("data keys: %v", keys)
	}
	for name, want := range map[string]string{"0": "told anew", "1": "the secret 1"} {
		if got, err := ownNotes.read(t.Context(), found, log, name); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestQuestions(t *testing.T) {
	t.Parallel()
	log := newTestLog(t)
	key, _ := newKey(t)
	b := newBox(t, options(log, key))
	for _, raw := range []string{"", "{", "{}", `{"something_newer":true}`, `[]`} {
		if a, err := b.Answer(t.Context(), []byte(raw)); err == nil {
			t.Errorf("%s: %s", raw, a)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if a, err := b.Answer(ctx, []byte(`{"try":{"cluster_key":"local:0","wrapped":"AAAA"}}`)); err != nil || !strings.Contains(string(a), "is not the one") {
		t.Errorf("%s, %v", a, err)
	}
}
