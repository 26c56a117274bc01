package cluster

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm"
)

// Committed returns entries of this node's log in order, from one on, that are
// committed: the same on every node, for good. There are at most so many and,
// beyond the first, so many bytes; none where from is not committed yet. Entries
// that were cut off the log are ErrLogCut.
func (n *Node) Committed(from uint64, maxEntries, maxBytes int) ([]fsm.Entry, error) {
	stored := &logs{n.store}
	last := n.raft.CommitIndex()
	var out []fsm.Entry
	size := 0
	for index := from; index <= last && len(out) < maxEntries; index++ {
		var log raft.Log
		err := stored.read(index, &log)
		if errors.Is(err, raft.ErrLogNotFound) {
			if len(out) > 0 {
				return out, nil
			}
			return nil, fmt.Errorf("%w: entry %d", ErrLogCut, index)
		}
		if err != nil {
			return nil, logError(err)
		}
		if size += len(log.Data); size > maxBytes && len(out) > 0 {
			break
		}
		out = append(out, fsm.EntryOf(&log))
	}
	return out, nil
}

// CommitIndex is the last entry that this node knows to be committed.
func (n *Node) CommitIndex() uint64 { return n.raft.CommitIndex() }

// Leads tells whether this node is the leader, as far as it knows.
func (n *Node) Leads() bool { return n.leads() }
