package cluster

import (
	"sync"

	"github.com/hashicorp/raft"
)

// pipeline is raft's pipeline to one follower that also announces commits.
//
// Raft tells a follower that an entry is committed with the next request it has
// to send anyway; where there is none, CommitTimeout later. A read on that
// follower waits for just that. So as soon as the commit index moves and nothing
// else is under way, the pipeline sends one request of its own: no entries, the
// position that was last sent as the previous one, the commit index. Its answer
// is kept from raft, which did not ask.
//
// It is safe because it says nothing that raft's own next request would not:
//   - The previous entry is the last one sent on this pipeline, so the follower
//     accepts only where its log is the leader's up to there.
//   - The commit index is cut off at that entry: what comes after it in the
//     follower's log might be another leader's.
//   - The commit index was read while this node led in the request's term: the
//     term is compared after the reading, and terms only grow.
//   - Requests leave in one order, under one mutex: an announcement never
//     overtakes the entries that it is about.
type pipeline struct {
	inner     raft.AppendPipeline
	peer      raft.ServerID
	transport *transport

	// out is roomy so that this pipeline never waits for raft's reader, which
	// stops reading at the first refusal.
	out    chan raft.AppendFuture
	kick   chan struct{}
	closed chan struct{}
	once   sync.Once

	// sending is held while a request leaves. It is taken before mu.
	sending sync.Mutex

	mu        sync.Mutex
	underWay  []flight
	last      *raft.AppendEntriesRequest // header and term of the last request
	prev      position                   // last entry that was sent
	announced uint64                     // highest commit index that was sent
}

type position struct{ index, term uint64 }

// flight is a request whose answer is due; answers come in the order of requests.
type flight struct {
	sent uint64
	own  bool
}

// outRoom is more than can ever be under way in one pipeline.
const outRoom = 64

func newPipeline(inner raft.AppendPipeline, peer raft.ServerID, t *transport) *pipeline {
	p := &pipeline{
		inner: inner, peer: peer, transport: t,
		out:    make(chan raft.AppendFuture, outRoom),
		kick:   make(chan struct{}, 1),
		closed: make(chan struct{}),
	}
	go p.relay()
	go p.announceLoop()
	return p
}

// AppendEntries implements raft.AppendPipeline.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	p.sending.Lock()
	defer p.sending.Unlock()
	return p.send(args, resp, false)
}

// send sends one request; p.sending is held.
func (p *pipeline) send(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse, own bool) (raft.AppendFuture, error) {
	p.mu.Lock()
	p.underWay = append(p.underWay, flight{sent: p.transport.acks.mark(), own: own})
	p.mu.Unlock()
	future, err := p.inner.AppendEntries(args, resp)
	if err != nil {
		// The stream may end in the middle of a request: nothing more may be sent.
		p.mu.Lock()
		p.last = nil
		p.mu.Unlock()
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.announced = max(p.announced, args.LeaderCommitIndex)
	if !own {
		p.prev = position{args.PrevLogEntry, args.PrevLogTerm}
		if n := len(args.Entries); n > 0 {
			p.prev = position{args.Entries[n-1].Index, args.Entries[n-1].Term}
		}
		p.last = &raft.AppendEntriesRequest{RPCHeader: args.RPCHeader, Term: args.Term}
	}
	return future, nil
}

// Consumer implements raft.AppendPipeline.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.out }

// Close implements raft.AppendPipeline.
func (p *pipeline) Close() error {
	p.once.Do(func() {
		close(p.closed)
		p.transport.forget(p)
	})
	return p.inner.Close()
}

// relay passes answers on, except those to announcements.
func (p *pipeline) relay() {
	for {
		var future raft.AppendFuture
		select {
		case future = <-p.inner.Consumer():
		case <-p.closed:
			return
		}
		failed := future.Error() != nil
		req, resp := future.Request(), future.Response()
		p.mu.Lock()
		was := p.underWay[0]
		p.underWay = p.underWay[1:]
		idle := len(p.underWay) == 0
		p.mu.Unlock()
		if !failed && resp.Success && resp.Term == req.Term {
			p.transport.acks.accepted(p.peer, req.Term, was.sent)
		}
		if was.own {
			continue // a refusal raft will get itself, with its own next request
		}
		select {
		case p.out <- future:
		case <-p.closed:
			return
		}
		if idle {
			p.wake() // what was committed while requests were under way
		}
	}
}

func (p *pipeline) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

func (p *pipeline) announceLoop() {
	for {
		select {
		case <-p.kick:
			p.announce()
		case <-p.closed:
			return
		}
	}
}

// announce sends the commit index, if it is news to the follower and no other
// request is under way: relay wakes us again when the last one is answered.
func (p *pipeline) announce() {
	p.sending.Lock()
	defer p.sending.Unlock()
	p.mu.Lock()
	last, prev, announced, busy := p.last, p.prev, p.announced, len(p.underWay) > 0
	p.mu.Unlock()
	if last == nil || busy {
		return
	}
	commit, ok := p.transport.committed(last.Term)
	commit = min(commit, prev.index)
	if !ok || commit <= announced {
		return
	}
	req := *last
	req.PrevLogEntry, req.PrevLogTerm, req.LeaderCommitIndex = prev.index, prev.term, commit
	// An error here is one that raft meets with its own next request, and it
	// closes the pipeline then.
	_, _ = p.send(&req, new(raft.AppendEntriesResponse), true)
}
