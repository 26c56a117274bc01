package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// acks remembers, for each peer, when the last request was sent that it accepted
// from this node as leader, and of which term. "When" is a count of requests, so
// that no clock is in the proof.
//
// raft.VerifyLeader alone is not enough of a proof: it also counts the answer to
// a heartbeat that was sent before the question. A leader that was paused for
// longer than an election finds such answers in its sockets when it wakes up,
// and would take them for the consent of peers that have a new leader since.
type acks struct {
	count atomic.Uint64

	mu   sync.Mutex
	last map[raft.ServerID]ack
}

type ack struct {
	term, sent uint64
	// at is when the answer came. It proves nothing; it is shown.
	at time.Time
}

func newAcks() *acks { return &acks{last: make(map[raft.ServerID]ack)} }

// mark returns a moment: requests that are sent from now on come after it.
func (a *acks) mark() uint64 { return a.count.Add(1) }

func (a *acks) accepted(peer raft.ServerID, term, sent uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.last[peer]
	if term > was.term || term == was.term && sent > was.sent {
		a.last[peer] = ack{term: term, sent: sent, at: time.Now()}
	}
}

// heard is when a peer last accepted a request in that term; zero is never.
func (a *acks) heard(peer raft.ServerID, term uint64) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if got := a.last[peer]; got.term == term {
		return got.at
	}
	return time.Time{}
}

// since tells whether a peer has accepted a request of that term that was sent
// after the moment.
func (a *acks) since(peer raft.ServerID, term, moment uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	got := a.last[peer]
	return got.term == term && got.sent > moment
}

// quorum tells whether a majority of the voters, self included, has accepted a
// request of that term that was sent after the moment.
func (a *acks) quorum(term, since uint64, self raft.ServerID, servers []raft.Server) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	voters, in := 0, 0
	for _, s := range servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		got, ok := a.last[s.ID]
		if s.ID == self || ok && got.term == term && got.sent > since {
			in++
		}
	}
	return voters > 0 && in > voters/2
}
