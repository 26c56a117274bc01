package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

func TestKeyedRequestsRunOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nodes := []*Catalog{s.node(), s.node(), s.node()}
	mustNamespace(t, nodes[0], "ns")
	req := CreateTable{Identifier: ident("ns", "t"), Schema: json.RawMessage(testSchema)}
	var wg sync.WaitGroup
	got := make([]*Table, 30)
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = nodes[i%3].CreateTable(t.Context(), keyed("k1", "create t"), "", req); err != nil {
				t.Errorf("repeat %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for i, table := range got {
		if table.MetadataLocation != got[0].MetadataLocation || !bytes.Equal(table.Metadata, got[0].Metadata) {
			t.Fatalf("answer %d differs", i)
		}
	}
}

func TestKeyIsBoundToItsRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	if _, err := c.CreateNamespace(t.Context(), keyed("k", "one"), "", Namespace{"a"}, nil); err != nil {
		t.Fatal(err)
	}
	_, err := c.CreateNamespace(t.Context(), keyed("k", "two"), "", Namespace{"b"}, nil)
	wantKind(t, err, KindKeyReused)
	other := keyed("k", "two")
	other.Principal = "q"
	if _, err := c.CreateNamespace(t.Context(), other, "", Namespace{"b"}, nil); err != nil {
		t.Errorf("the key of another principal: %v", err)
	}
	// A principal and a key must not be able to spell another pair.
	tricky := keyed("", "three")
	tricky.Principal, tricky.Key = "pk", "x"
	if _, err := c.CreateNamespace(t.Context(), tricky, "", Namespace{"c"}, nil); err != nil {
		t.Error(err)
	}
}

func TestRefusalsAreRemembered(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	_, err := a.DropNamespace(t.Context(), keyed("k", "drop a"), "", Namespace{"a"})
	wantKind(t, err, KindNoSuchNamespace)
	mustNamespace(t, a, "a")
	_, again := b.DropNamespace(t.Context(), keyed("k", "drop a"), "", Namespace{"a"})
	wantKind(t, again, KindNoSuchNamespace)
	if err.Error() != again.Error() {
		t.Errorf("the repeat reads %q, the first %q", again, err)
	}
}

// A refusal quotes what was sent, and goes through the log where it is remembered.
func TestRememberedRefusalsAreBrief(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.node()
	mustNamespace(t, a, "ns")
	mustTable(t, a, "ns", "t")
	_, err := a.CommitTable(t.Context(), keyed("k", "commit"), "",
		commit(t, ident("ns", "t"), `[{"type":"assert-table-uuid","uuid":"`+strings.Repeat("é", 1<<20)+`"}]`, `[]`))
	wantKind(t, err, KindCommitFailed)
	v, err := s.log.machine.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	answer, found, err := v.Answer("p", "k")
	if err != nil || !found {
		t.Fatalf("the refusal is not remembered: %v", err)
	}
	text := answer.GetFailure().GetMessage()
	if len(text) > 2000 || !utf8.ValidString(text) || !strings.HasPrefix(text, "Requirement failed: ") {
		t.Errorf("%d bytes are remembered: %.100q", len(text), text)
	}
}

func TestReplays(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	mustNamespace(t, a, "ns")
	id := ident("ns", "t")

	staged := CreateTable{Identifier: id, Schema: json.RawMessage(testSchema), Stage: true}
	first, err := a.CreateTable(t.Context(), keyed("s", "stage"), "", staged)
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.CreateTable(t.Context(), keyed("s", "stage"), "", staged)
	if err != nil || !bytes.Equal(first.Metadata, second.Metadata) || second.MetadataLocation != "" {
		t.Errorf("replay of a staged create: %v", err)
	}

	mustTable(t, a, "ns", "t")
	change := s.appendSnapshot(id, 5, 0, 1)
	landed, err := a.CommitTable(t.Context(), keyed("c", "commit"), "", change)
	if err != nil {
		t.Fatal(err)
	}
	replayed, err := b.CommitTable(t.Context(), keyed("c", "commit"), "", change)
	if err != nil || replayed.MetadataLocation != landed.MetadataLocation {
		t.Errorf("replay of a commit: %v", err)
	}

	if _, err := a.DropTable(t.Context(), keyed("d", "drop"), "", id, false); err != nil {
		t.Fatal(err)
	}
	if _, err := b.DropTable(t.Context(), keyed("d", "drop"), "", id, false); err != nil {
		t.Errorf("replay of a drop: %v", err)
	}
	// The table is gone, and the commit's answer is still its answer.
	replayed, err = b.CommitTable(t.Context(), keyed("c", "commit"), "", change)
	if err != nil || replayed.MetadataLocation != landed.MetadataLocation {
		t.Fatalf("replay of a commit to a dropped table: %v", err)
	}
	assertSameJSON(t, landed.Metadata, replayed.Metadata)
}

func TestAnswerOutlivesAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	s.log.mu.Lock()
	s.log.after = func(*command.Transaction, command.Result) error { return ErrOutcomeUnknown }
	s.log.mu.Unlock()
	_, err := c.CreateNamespace(t.Context(), keyed("k", "create"), "", Namespace{"a"}, nil)
	wantKind(t, err, KindCommitUnknown)
	s.log.mu.Lock()
	s.log.after = nil
	s.log.mu.Unlock()
	if _, err := s.node().CreateNamespace(t.Context(), keyed("k", "create"), "", Namespace{"a"}, nil); err != nil {
		t.Errorf("the repeat under the same key: %v", err)
	}
}

func TestChangedRightStopsTheChange(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	key := state.APIKeyKey([]byte("hash"))
	if _, err := s.log.Propose(t.Context(), &command.Transaction{Writes: []*command.Write{command.PutValue(key, nil)}}); err != nil {
		t.Fatal(err)
	}
	v, err := s.log.machine.View()
	if err != nil {
		t.Fatal(err)
	}
	held, _, err := v.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
	ch := Change{Guards: []Guard{{Key: key, Revision: held.Revision}}}
	if _, err := c.CreateNamespace(t.Context(), ch, "", Namespace{"a"}, nil); err != nil {
		t.Fatal(err)
	}
	// Revoked between the judgement and the log.
	s.log.mu.Lock()
	s.log.before = func(tx *command.Transaction) error {
		s.log.mu.Lock()
		s.log.before = nil
		s.log.mu.Unlock()
		_, err := s.log.Propose(t.Context(), &command.Transaction{Writes: []*command.Write{command.DeleteKey(key)}})
		return err
	}
	s.log.mu.Unlock()
	_, err = c.CreateNamespace(t.Context(), ch, "", Namespace{"b"}, nil)
	wantKind(t, err, KindRevoked)
	_, err = c.LoadNamespace(t.Context(), Read{}, "", Namespace{"b"})
	wantKind(t, err, KindNoSuchNamespace)
	// Under a key it is no different, whatever else is wrong with the request,
	// and it is not what a later repeat gets.
	lost := keyed("k", "drop")
	lost.Guards = ch.Guards
	_, err = c.DropNamespace(t.Context(), lost, "", Namespace{"missing"})
	wantKind(t, err, KindRevoked)
	_, err = c.DropNamespace(t.Context(), keyed("k", "drop"), "", Namespace{"missing"})
	wantKind(t, err, KindNoSuchNamespace)
}

// An answer is not given out of the past to somebody who has lost the right.
func TestReplayNeedsTheRight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, behind := s.node(), s.node()
	mustNamespace(t, a, "ns")
	guard := s.log.key("hash")
	ch := keyed("k", "create")
	ch.Guards = []Guard{guard}
	req := CreateTable{Identifier: ident("ns", "t"), Schema: json.RawMessage(testSchema)}
	if _, err := a.CreateTable(t.Context(), ch, "", req); err != nil {
		t.Fatal(err)
	}
	refused := keyed("l", "create again")
	refused.Guards = ch.Guards
	_, err := a.CreateTable(t.Context(), refused, "", req)
	wantKind(t, err, KindAlreadyExists)
	other := ch
	other.Fingerprint = []byte("another request")
	mustLoad(t, behind, "ns", "t")
	s.log.fallBehind()
	if _, err := behind.CreateTable(t.Context(), ch, "", req); err != nil {
		t.Errorf("replay: %v", err)
	}
	s.log.key("hash") // what the right rested on is another record now
	for what, c := range map[string]Change{"answer": ch, "refusal": refused, "reuse": other} {
		if _, err := behind.CreateTable(t.Context(), c, "", req); KindOf(err) != KindRevoked {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A node that was down, in a cluster that is idle, knows only the time at which
// it went: an answer that it stamped by that would have expired long ago.
func TestAnswerOfANodeThatWasDown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	back := s.node(func(o *Options) { o.Log = &wokenLog{sharedLog: s.log} })
	info, err := back.CreateNamespace(t.Context(), keyed("k", "create"), "", Namespace{"a"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.node().CreateNamespace(t.Context(), keyed("k", "create"), "", Namespace{"a"}, nil)
	if err != nil {
		t.Fatalf("the repeat: %v", err)
	}
	if diff := cmp.Diff(info.Properties, again.Properties); diff != "" {
		t.Error(diff)
	}
}

// wokenLog is the log on a node that was down for an hour: it learns the time
// with its first question to the leader.
type wokenLog struct {
	*sharedLog
	heard atomic.Bool
}

func (l *wokenLog) NowMs() uint64 {
	if l.heard.Load() {
		return l.sharedLog.NowMs()
	}
	return l.sharedLog.NowMs() - uint64(time.Hour.Milliseconds())
}

func (l *wokenLog) View(ctx context.Context, read Read) (*state.View, error) {
	if read.Consistency == Linearizable {
		l.heard.Store(true)
	}
	return l.sharedLog.View(ctx, read)
}

func TestAnswersExpire(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node(func(o *Options) { o.AnswerLifetime = time.Minute })
	if _, err := c.CreateNamespace(t.Context(), keyed("k", "create"), "", Namespace{"a"}, nil); err != nil {
		t.Fatal(err)
	}
	s.log.aheadMs.Add(59_000)
	mustNamespace(t, c, "tick") // replicated time goes on with the log
	if _, err := c.CreateNamespace(t.Context(), keyed("k", "create"), "", Namespace{"a"}, nil); err != nil {
		t.Errorf("within its lifetime: %v", err)
	}
	s.log.aheadMs.Add(2_000)
	mustNamespace(t, c, "tock")
	_, err := c.CreateNamespace(t.Context(), keyed("k", "create"), "", Namespace{"a"}, nil)
	wantKind(t, err, KindAlreadyExists)
	if _, err := c.CreateNamespace(t.Context(), keyed("l", "create"), "", Namespace{"b"}, nil); err != nil {
		t.Error(err)
	}
}

func TestLostRightLeavesNoFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	mustTable(t, c, "ns", "t")
	ch := Change{Guards: []Guard{s.log.key("hash")}}
	s.log.key("hash")
	_, err := c.CommitTable(t.Context(), ch, "", setProperty(t, ident("ns", "t"), "k", "v"))
	wantKind(t, err, KindRevoked)
	_, err = c.CreateTable(t.Context(), ch, "", CreateTable{Identifier: ident("ns", "u"), Schema: json.RawMessage(testSchema)})
	wantKind(t, err, KindRevoked)
	c.janitorIdle(t)
	if files := s.files(); len(files) != 1 {
		t.Errorf("files of changes that were not made: %v", files)
	}
}
