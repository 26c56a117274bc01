package cluster

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// wire is a pipeline's other side, which the test answers for.
type wire struct {
	mu    sync.Mutex
	sent  []*raft.AppendEntriesRequest
	calls chan *reply
	done  chan raft.AppendFuture
}

type reply struct {
	req  *raft.AppendEntriesRequest
	resp *raft.AppendEntriesResponse
}

func newWire() *wire {
	return &wire{calls: make(chan *reply, 16), done: make(chan raft.AppendFuture, 16)}
}

func (w *wire) AppendEntries(req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	w.mu.Lock()
	w.sent = append(w.sent, req)
	w.mu.Unlock()
	r := &reply{req, resp}
	w.calls <- r
	return r, nil
}

func (w *wire) Consumer() <-chan raft.AppendFuture { return w.done }
func (w *wire) Close() error                       { return nil }

func (r *reply) Error() error                          { return nil }
func (r *reply) Start() time.Time                      { return time.Time{} }
func (r *reply) Request() *raft.AppendEntriesRequest   { return r.req }
func (r *reply) Response() *raft.AppendEntriesResponse { return r.resp }

// next waits for the next request that was sent.
func (w *wire) next(t *testing.T) *reply {
	t.Helper()
	select {
	case r := <-w.calls:
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was sent")
		return nil
	}
}

func (w *wire) accept(r *reply) {
	r.resp.Success, r.resp.Term = true, r.req.Term
	w.done <- r
}

// stage is a pipeline between a leader whose commit index the test sets and a wire.
type stage struct {
	*wire
	p    *pipeline
	acks *acks

	mu     sync.Mutex
	commit uint64
	term   uint64
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{wire: newWire(), acks: newAcks(), term: 3}
	tr := &transport{acks: s.acks, pipelines: make(map[*pipeline]struct{}), committed: func(term uint64) (uint64, bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.commit, term == s.term
	}}
	s.p = newPipeline(s.wire, "peer", tr)
	t.Cleanup(func() {
		if err := s.p.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *stage) committed(index uint64) {
	s.mu.Lock()
	s.commit = index
	s.mu.Unlock()
	s.p.wake()
}

func (s *stage) send(t *testing.T, req *raft.AppendEntriesRequest) *reply {
	t.Helper()
	if _, err := s.p.AppendEntries(req, new(raft.AppendEntriesResponse)); err != nil {
		t.Fatal(err)
	}
	return s.next(t)
}

func (s *stage) received(t *testing.T) raft.AppendFuture {
	t.Helper()
	select {
	case f := <-s.p.Consumer():
		return f
	case <-time.After(10 * time.Second):
		t.Fatal("raft got no answer")
		return nil
	}
}

func entries(term uint64, indexes ...uint64) []*raft.Log {
	var out []*raft.Log
	for _, i := range indexes {
		out = append(out, &raft.Log{Index: i, Term: term})
	}
	return out
}

func (s *stage) quiet(t *testing.T, what string) {
	t.Helper()
	// Sending a request of raft's own next shows that nothing came before it.
	r := s.send(t, &raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 99, PrevLogTerm: 3, LeaderCommitIndex: 99})
	if r.req.PrevLogEntry != 99 {
		t.Errorf("%s: sent %+v", what, r.req)
	}
}

func TestCommitsAreAnnounced(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	header := raft.RPCHeader{ID: []byte("leader"), Addr: []byte("address")}
	own := s.send(t, &raft.AppendEntriesRequest{
		RPCHeader: header, Term: 3, PrevLogEntry: 4, PrevLogTerm: 2, Entries: entries(3, 5, 6), LeaderCommitIndex: 4,
	})
	before := s.acks.mark()
	s.accept(own)
	if got := s.received(t); got.Request() != own.req {
		t.Fatalf("raft got the answer to %+v", got.Request())
	}
	s.committed(6)
	said := s.next(t)
	if got := said.req; got.PrevLogEntry != 6 || got.PrevLogTerm != 3 || got.LeaderCommitIndex != 6 ||
		got.Term != 3 || len(got.Entries) != 0 || string(got.ID) != "leader" || string(got.Addr) != "address" {
		t.Errorf("announced %+v", got)
	}
	s.accept(said)

	// Raft's next answer is the answer to raft's next question.
	own = s.send(t, &raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 6, PrevLogTerm: 3, Entries: entries(3, 7), LeaderCommitIndex: 6})
	s.accept(own)
	if got := s.received(t); got.Request() != own.req {
		t.Errorf("raft got the answer to %+v", got.Request())
	}
	// Answers to announcements are consent to the leader like any other.
	if !s.acks.quorum(3, before, "leader", []raft.Server{{ID: "leader"}, {ID: "peer"}}) {
		t.Error("the consent was not noted")
	}
}

func TestAnnouncementsWaitForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.send(t, &raft.AppendEntriesRequest{Term: 3, Entries: entries(3, 1), LeaderCommitIndex: 0})
	s.committed(1) // by the other followers
	second := s.send(t, &raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 1, PrevLogTerm: 3, Entries: entries(3, 2)})
	if len(second.req.Entries) != 1 {
		t.Fatalf("an announcement left while a request was under way: %+v", second.req)
	}
	s.accept(first)
	s.received(t)
	s.accept(second)
	s.received(t)
	said := s.next(t)
	if said.req.LeaderCommitIndex != 1 || said.req.PrevLogEntry != 2 {
		t.Errorf("announced %+v", said.req)
	}
}

func TestNothingIsAnnouncedThatMustNotBe(t *testing.T) {
	t.Parallel()
	t.Run("before raft has sent anything", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.committed(9)
		s.quiet(t, "an announcement without a position")
	})
	t.Run("in another term", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.accept(s.send(t, &raft.AppendEntriesRequest{Term: 3, Entries: entries(3, 1)}))
		s.received(t)
		s.mu.Lock()
		s.term = 4
		s.mu.Unlock()
		s.committed(1)
		s.quiet(t, "the commit index of another term")
	})
	t.Run("what the follower knows", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.accept(s.send(t, &raft.AppendEntriesRequest{Term: 3, Entries: entries(3, 1, 2), LeaderCommitIndex: 2}))
		s.received(t)
		s.committed(2)
		s.quiet(t, "old news")
	})
	t.Run("what the follower was not sent", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.accept(s.send(t, &raft.AppendEntriesRequest{Term: 3, Entries: entries(3, 1, 2), LeaderCommitIndex: 0}))
		s.received(t)
		s.committed(50) // by a majority without this follower
		if said := s.next(t); said.req.LeaderCommitIndex != 2 {
			t.Errorf("announced commit index %d to a follower that has 2 entries", said.req.LeaderCommitIndex)
		}
	})
}

// Raft turns pre-vote off without an error where its transport hides it.
func TestTransportShowsWhatRaftLooksFor(t *testing.T) {
	t.Parallel()
	var tr any = &transport{}
	if _, ok := tr.(raft.WithPreVote); !ok {
		t.Error("pre-vote is hidden")
	}
	if _, ok := tr.(raft.WithClose); !ok {
		t.Error("Close is hidden")
	}
}

func TestReplicationWaitsForTheHeartbeat(t *testing.T) {
	t.Parallel()
	var leads, member atomic.Bool
	newTransport := func() *transport {
		return &transport{
			acks:      newAcks(),
			committed: func(uint64) (uint64, bool) { return 0, leads.Load() },
			member:    func(raft.ServerID) bool { return member.Load() },
		}
	}
	leads.Store(true)
	member.Store(true)
	tr := newTransport()
	before := tr.acks.mark()
	back := make(chan bool, 1)
	go func() { back <- tr.awaitReturn("peer", 3) }()
	for tr.acks.count.Load() == before {
		time.Sleep(time.Millisecond)
	}
	tr.acks.accepted("peer", 3, before) // sent before the peer went
	tr.acks.accepted("other", 3, tr.acks.mark())
	select {
	case <-back:
		t.Fatal("it did not wait")
	case <-time.After(3 * returnPoll):
	}
	tr.acks.accepted("peer", 3, tr.acks.mark())
	if !<-back {
		t.Error("the peer is back and was not found")
	}
	for name, change := range map[string]func(){
		"yields":              func() { tr.yielding.Store(true) },
		"leads no more":       func() { tr.yielding.Store(false); leads.Store(false) },
		"the peer is no more": func() { leads.Store(true); tr.yielding.Store(false); member.Store(false) },
	} {
		change()
		if tr.awaitReturn("peer", 3) {
			t.Errorf("%s: it waited", name)
		}
		leads.Store(true)
		member.Store(true)
		tr.yielding.Store(false)
	}
}
