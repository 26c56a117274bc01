package cluster

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm/command"
)

func proposals(n, size int) []*proposal {
	out := make([]*proposal, n)
	for i := range out {
		out[i] = newProposal(&command.Transaction{Id: make([]byte, size)}, "")
	}
	return out
}

func TestBatcherSharesAndBounds(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	var mu sync.Mutex
	var sizes []int
	b := newBatcher(200, 1<<20, 1, func(batch []*proposal) {
		<-gate
		mu.Lock()
		sizes = append(sizes, len(batch))
		mu.Unlock()
		answerAll(batch, Verdict_FATE_DECIDED)
	})
	defer b.close()
	ps := proposals(200, 16)
	var wg sync.WaitGroup
	if !b.enqueue(ps[0]) {
		t.Fatal("the first was refused")
	}
	for ps[0].state.Load() != taken {
		time.Sleep(time.Millisecond)
	}
	for _, p := range ps[1:] {
		if !b.enqueue(p) {
			t.Fatal("refused below the bound")
		}
	}
	for _, p := range ps {
		wg.Go(func() {
			if v := b.await(context.Background(), p); v.GetFate() != Verdict_FATE_DECIDED {
				t.Errorf("fate %v", v.GetFate())
			}
		})
	}
	close(gate)
	wg.Wait()
	total := 0
	for i, n := range sizes {
		total += n
		if n > maxBatch {
			t.Errorf("batch %d has %d transactions", i, n)
		}
	}
	// One alone at first, the others as full as a batch may be.
	if sizes[0] != 1 || len(sizes) != 1+(199+maxBatch-1)/maxBatch || total != 200 {
		t.Errorf("batches of %v", sizes)
	}
}

func TestBatcherRefusesWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	b := newBatcher(2, 100, 1, func(batch []*proposal) { <-gate; answerAll(batch, Verdict_FATE_DECIDED) })
	large := proposals(1, 200)[0]
	if v := b.submit(context.Background(), large); v.GetFate() != Verdict_FATE_BUSY {
		t.Errorf("more bytes than the bound: %v", v.GetFate())
	}
	ps := proposals(4, 16)
	if !b.enqueue(ps[0]) {
		t.Fatal("the first was refused")
	}
	for ps[0].state.Load() != taken {
		time.Sleep(time.Millisecond)
	}
	if !b.enqueue(ps[1]) || !b.enqueue(ps[2]) {
		t.Fatal("refused below the bound")
	}
	if b.enqueue(ps[3]) {
		t.Error("a third one was let into a queue of two")
	}
	// One that still waits can be withdrawn, one that was taken can't.
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if v := b.await(ended, ps[1]); v.GetFate() != Verdict_FATE_NOT_PROPOSED {
		t.Errorf("withdrawn: %v", v.GetFate())
	}
	if v := b.await(ended, ps[0]); v.GetFate() != Verdict_FATE_UNKNOWN {
		t.Errorf("taken: %v", v.GetFate())
	}
	close(gate)
	b.close()
	if v := b.submit(context.Background(), proposals(1, 16)[0]); v.GetFate() != Verdict_FATE_NOT_PROPOSED {
		t.Errorf("after the close: %v", v.GetFate())
	}
	if got := b.bytes.Load(); got < 0 {
		t.Errorf("%d bytes are waiting", got)
	}
}

func TestBatcherKeepsEntriesSmall(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var sizes []int
	gate := make(chan struct{})
	b := newBatcher(100, 1<<30, 1, func(batch []*proposal) {
		<-gate
		sum := 0
		for _, p := range batch {
			sum += p.size
		}
		mu.Lock()
		sizes = append(sizes, sum)
		mu.Unlock()
		answerAll(batch, Verdict_FATE_DECIDED)
	})
	defer b.close()
	ps := append(proposals(8, 200<<10), proposals(1, 2<<20)...)
	for _, p := range ps {
		if !b.enqueue(p) {
			t.Fatal("refused")
		}
	}
	close(gate)
	for _, p := range ps {
		b.await(context.Background(), p)
	}
	for _, size := range sizes {
		if size > maxBatchBytes && size < 2<<20 {
			t.Errorf("an entry of %d bytes: %v", size, sizes)
		}
	}
}

// A caller never gets an answer to a question that was asked before it came.
func TestRoundsAnswerOnlyLaterQuestions(t *testing.T) {
	t.Parallel()
	var asked atomic.Uint64
	r := newRounds(time.Minute, func(context.Context) (uint64, error) {
		n := asked.Add(1)
		time.Sleep(100 * time.Microsecond) // long enough for others to come meanwhile
		return n, nil
	})
	defer r.close()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				before := asked.Load()
				got, err := r.join(context.Background())
				if err != nil || got <= before {
					t.Errorf("asked %d before, answer %d (%v)", before, got, err)
				}
			}
		})
	}
	wg.Wait()
	if n := asked.Load(); n >= 800 {
		t.Errorf("%d questions for 800 callers", n)
	}
}

func TestRoundsEnd(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	r := newRounds(time.Minute, func(ctx context.Context) (uint64, error) {
		close(began)
		<-ctx.Done()
		return 0, ctx.Err()
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-began; cancel() }()
	if _, err := r.join(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that gave up gets %v", err)
	}
	r.close()
	if _, err := r.join(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("after the close: %v", err)
	}
}

func TestQuorumOfLaterConsents(t *testing.T) {
	t.Parallel()
	servers := []raft.Server{
		{ID: "a", Suffrage: raft.Voter}, {ID: "b", Suffrage: raft.Voter},
		{ID: "c", Suffrage: raft.Voter}, {ID: "d", Suffrage: raft.Nonvoter},
	}
	a := newAcks()
	early := a.mark()
	asked := a.mark()
	check := func(what string, want bool) {
		t.Helper()
		if got := a.quorum(7, asked, "a", servers); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("nobody", false)
	a.accepted("b", 7, early)
	check("the answer to what was sent before the question", false)
	a.accepted("d", 7, a.mark())
	check("a nonvoter", false)
	a.accepted("c", 6, a.mark())
	check("consent in an older term", false)
	a.accepted("b", 7, a.mark())
	check("one of two others, later", true)
	a.accepted("b", 7, early)
	check("an answer that came out of order", true)
	if !a.quorum(7, asked, "a", servers[:1]) {
		t.Error("a single voter is not its own quorum")
	}
	if a.quorum(7, asked, "a", nil) {
		t.Error("a quorum of nobody")
	}
}

type fixedTime struct {
	Machine
	ms uint64
	at time.Time
}

func (m *fixedTime) TimeMs() (uint64, time.Time) { return m.ms, m.at }

func TestClock(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_000_000)
	m := &fixedTime{}
	c := newClock(m)
	c.wall = func() time.Time { return now }
	if got := c.now(); got != 1_000_000 {
		t.Errorf("before there is any time: %d, want the wall clock's", got)
	}
	if c.ready() {
		t.Error("ready without a word from a leader")
	}

	// A follower goes by the leader's stamp, however wrong its own clock is.
	m.ms, m.at = 5_000, now
	now = now.Add(250 * time.Millisecond)
	if got := c.now(); got != 5_250 {
		t.Errorf("a quarter of a second after the stamp 5000: %d", got)
	}
	c.heard(9_000)
	if got := c.now(); got != 9_000 || !c.ready() {
		t.Errorf("the leader says 9000: %d, ready %v", got, c.ready())
	}
	c.heard(100)
	c.heard(0)
	now = now.Add(time.Millisecond)
	if got := c.now(); got != 9_001 {
		t.Errorf("it went back to %d", got)
	}

	// A leader stamps with its own clock, but never before what was stamped.
	if got := c.stamp(); got != uint64(now.UnixMilli()) {
		t.Errorf("stamp %d, want %d", got, now.UnixMilli())
	}
	m.ms, m.at = 2_000_000, now // stamped by an earlier leader whose clock is ahead
	now = now.Add(3 * time.Millisecond)
	if got := c.stamp(); got != 2_000_003 {
		t.Errorf("stamp behind a leader that was ahead: %d, want 2000003", got)
	}
}

func TestOnlyThreeErrorsAreDefinite(t *testing.T) {
	t.Parallel()
	for _, err := range []error{raft.ErrNotLeader, raft.ErrLeadershipTransferInProgress, raft.ErrEnqueueTimeout} {
		if got := fateOf(err); got != Verdict_FATE_NOT_PROPOSED {
			t.Errorf("%v: %v", err, got)
		}
	}
	for _, err := range []error{raft.ErrLeadershipLost, raft.ErrRaftShutdown, raft.ErrAbortedByRestore, errors.New("disk full")} {
		if got := fateOf(err); got != Verdict_FATE_UNKNOWN {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestRepeatedComplaintsAreThinnedOut(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	l := newRaftLogger(slog.New(slog.NewTextHandler(&out, nil)))
	for range 50 {
		l.Error("failed to heartbeat to", "peer", "a", "error", errors.New("refused"))
		l.Error("failed to heartbeat to", "peer", "b", "error", errors.New("refused"))
		l.Info("entering follower state", "follower", hclog.Fmt("%v", "x"))
		l.Warn(waitsForPeers)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 2 {
		t.Errorf("%d lines:\n%s", lines, out.String())
	}
	w := newStdLogger(slog.New(slog.NewTextHandler(&out, nil)), "gossip")
	out.Reset()
	w.Print("[WARN] memberlist: Was able to connect to n1 over TCP but UDP probes failed")
	w.Print("[DEBUG] memberlist: nothing of interest")
	if got := out.String(); !strings.Contains(got, "level=WARN") || strings.Count(got, "\n") != 1 {
		t.Errorf("memberlist's lines became %q", got)
	}
}

func TestProgramsThatCannotTakePart(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		oldest, newest, inUse uint32
		why                   string
	}{
		{0, 0, 1, ""}, // the first programs said nothing
		{1, 2, 1, ""},
		{1, 3, 2, ""},
		{2, 3, 2, ""},
		{0, 1, 2, "n9 runs a program that is too old: the cluster uses command version 2, and it knows up to 1: upgrade it"},
		{3, 5, 2, "n9 runs a program that is too new: the cluster uses command version 2, and it knows 3 and up: " +
			"start it with a program that knows 2, or upgrade the cluster first"},
	} {
		err := unfit(&HelloResponse{Id: "n9", OldestCommand: tc.oldest, NewestCommand: tc.newest}, tc.inUse)
		if tc.why == "" && err != nil || tc.why != "" && (!errors.Is(err, ErrRefused) || err.Error() != tc.why) {
			t.Errorf("from %d to %d, where %d is in use: %v, want %q", tc.oldest, tc.newest, tc.inUse, err, tc.why)
		}
	}
}
