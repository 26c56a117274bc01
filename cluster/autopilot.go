package cluster

import (
	"context"
	"time"
)

// unfit tells why a member that answers is not fit to vote; "" where it is. It
// has heard from its leader lately and is not far behind.
func (n *Node) unfit(s *StatusResponse, commit uint64) string {
	switch {
	case s.GetClusterId() != n.ClusterID():
		return "it has not learned the cluster's id yet"
	case s.GetAppliedIndex()+n.opts.ReadyLag < commit:
		return "it is catching up"
	case s.GetNotReady() != "":
		return s.GetNotReady()
	}
	return ""
}

// watched is how long a member has been as it is, as the leader saw it.
type watched struct {
	fitSince time.Time // zero while it is not fit
	deadFrom time.Time // zero while it answers
}

// autopilot does, while this node leads, what an operator would have to do: it
// gives nonvoters a vote once they have been fit for a while, and, where it is
// told to, takes voters out that have been dead for long. What it saw as an
// earlier leader counts for nothing.
func (n *Node) autopilot(ctx context.Context) {
	seen := make(map[string]*watched)
	term := uint64(0)
	ticker := time.NewTicker(n.opts.SurveyInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if !n.leads() {
			clear(seen)
			continue
		}
		if now := n.raft.CurrentTerm(); now != term {
			clear(seen)
			term = now
		}
		_, servers := n.configuration.committed()
		reports := n.survey(ctx, servers)
		n.watch(seen, reports)
		if id := n.ripe(seen, reports); id != "" {
			n.byItself(ctx, &MembershipRequest{Kind: MembershipRequest_KIND_PROMOTE, Id: id})
		} else if id := n.expired(seen, reports); id != "" {
			n.logger.Warn("a voter is removed: it has been dead for longer than remove-dead-after", "id", id, "after", n.opts.RemoveDeadAfter)
			n.byItself(ctx, &MembershipRequest{Kind: MembershipRequest_KIND_REMOVE, Id: id})
		}
	}
}

// byItself makes a change that nobody asked for. Where it is refused, the next
// look at the cluster decides anew; the reason is in the log.
func (n *Node) byItself(ctx context.Context, req *MembershipRequest) {
	ctx, cancel := context.WithTimeout(ctx, n.opts.ProposeTimeout)
	defer cancel()
	n.change(ctx, req)
}

// watch notes how long members have been as they are now.
func (n *Node) watch(seen map[string]*watched, reports []report) {
	now, commit := time.Now(), n.raft.CommitIndex()
	for _, r := range reports {
		w := seen[string(r.server.ID)]
		if w == nil {
			w = &watched{}
			seen[string(r.server.ID)] = w
		}
		switch {
		case r.err != nil:
			w.fitSince = time.Time{}
			if w.deadFrom.IsZero() {
				w.deadFrom = now
			}
			continue
		case n.unfit(r.status, commit) != "":
			w.fitSince = time.Time{}
		case w.fitSince.IsZero():
			w.fitSince = now
		}
		w.deadFrom = time.Time{}
	}
}

// ripe is a nonvoter that is to get a vote now; "" is none.
func (n *Node) ripe(seen map[string]*watched, reports []report) string {
	for _, r := range reports {
		id := string(r.server.ID)
		if r.err != nil || isVoter(r.server) || r.status.GetNonvoter() {
			continue
		}
		w := seen[id]
		if w.fitSince.IsZero() || time.Since(w.fitSince) < n.opts.StabilizeAfter {
			continue
		}
		if rec, _, err := n.decided(id); err != nil || rec.GetHeld() {
			continue // an operator took its vote
		}
		return id
	}
	return ""
}

// leastVoters is how few voters are never made fewer but by an operator.
const leastVoters = 3

// expired is a voter that is to be taken out now; "" is none. What is left must
// be at least three voters, and those of them that answer a majority of all that
// there are now, the dead included.
func (n *Node) expired(seen map[string]*watched, reports []report) string {
	if n.opts.RemoveDeadAfter <= 0 {
		return ""
	}
	voters, answering, oldest := 0, 0, ""
	for _, r := range reports {
		if !isVoter(r.server) {
			continue
		}
		voters++
		if r.err == nil {
			answering++
			continue
		}
		id := string(r.server.ID)
		if time.Since(seen[id].deadFrom) >= n.opts.RemoveDeadAfter &&
			(oldest == "" || seen[id].deadFrom.Before(seen[oldest].deadFrom)) {
			oldest = id
		}
	}
	if voters-1 < leastVoters || answering < quorum(voters) {
		return ""
	}
	return oldest
}
