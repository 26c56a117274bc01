package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm/command"
)

// keepUpPoll is how often a leader looks whether all members can do more.
const keepUpPoll = time.Second

// commandVersion is the command version in use: what this node, as leader, writes
// entries in.
func (n *Node) commandVersion() uint32 {
	inUse, _ := n.machine.CommandVersions()
	return inUse
}

// newestCommand is the newest command version that this node applies.
func (n *Node) newestCommand() uint32 {
	_, newest := n.machine.CommandVersions()
	return newest
}

// keepUp raises the cluster's command version, on whichever node leads, as soon as
// every member applies a newer one than is in use. It ends with the node: members
// may be replaced by newer ones at any time.
func (n *Node) keepUp(ctx context.Context) {
	said := ""
	for {
		changed, moved := n.changedMembers(), n.leadership.signal.next()
		why := ""
		if inUse, newest := n.machine.CommandVersions(); n.leads() && inUse < newest {
			why = n.raiseVersion(ctx, inUse)
		}
		if why != said && why != "" {
			n.logger.Info("the cluster's command version is not raised yet", "because", why)
		}
		n.behind.Store(&why)
		said = why
		select {
		case <-changed:
		case <-moved:
		case <-time.After(keepUpPoll):
		case <-ctx.Done():
			return
		}
	}
}

// raiseVersion raises the command version to the newest that all members apply, or
// tells why it can't be raised. Nobody is let in meanwhile.
func (n *Node) raiseVersion(ctx context.Context, inUse uint32) (why string) {
	select {
	case n.changing <- struct{}{}:
		defer func() { <-n.changing }()
	case <-ctx.Done():
		return ""
	}
	to, why := n.commonVersion(ctx, inUse)
	if why != "" {
		return why
	}
	data, err := command.Encode(&command.Entry{Commands: []*command.Command{{
		TimeMs: n.clock.stamp(),
		Kind:   &command.Command_RaiseVersion{RaiseVersion: &command.RaiseVersion{Version: to}},
	}}}, inUse)
	if err == nil {
		err = n.settled(n.raft.Apply(data, n.opts.ElectionTimeout))
	}
	if err != nil {
		return fmt.Sprintf("raising it to %d did not succeed: %v", to, err)
	}
	n.logger.Info("the cluster's command version is raised: older programs can't take part any more", "from", inUse, "to", to)
	return ""
}

// commonVersion is the newest command version that every member applies, whether
// it votes or not. Who answers is asked: it may run an older program than gossip
// remembers. Of a member that is away counts what was last heard of it, and of one that was
// never heard of nothing is known.
func (n *Node) commonVersion(ctx context.Context, inUse uint32) (to uint32, why string) {
	config := n.raft.GetConfiguration()
	if err := config.Error(); err != nil {
		return 0, fmt.Sprintf("the members are not known: %v", err)
	}
	to = n.newestCommand()
	for _, r := range n.survey(ctx, config.Configuration().Servers) {
		newest := toldVersion(r.status.GetNewestCommand())
		if r.err != nil {
			last, seen := n.gossip.last(string(r.server.ID))
			if !seen {
				return 0, fmt.Sprintf("%s is away and it is not known what it can: start it, or remove it", r.server.ID)
			}
			newest = toldVersion(last.GetNewestCommand())
		}
		if newest <= inUse {
			return 0, fmt.Sprintf("%s knows command versions up to %d: upgrade it", r.server.ID, newest)
		}
		to = min(to, newest)
	}
	return to, ""
}

// toldVersion reads what a node says of itself: the first programs said nothing.
func toldVersion(newest uint32) uint32 { return max(newest, command.FirstVersion) }

// unfit refuses a node whose program does not apply the command version in use: it
// would stop at the first entry of the log that it gets.
func unfit(hello *HelloResponse, inUse uint32) error {
	oldest, newest := toldVersion(hello.GetOldestCommand()), toldVersion(hello.GetNewestCommand())
	switch {
	case newest < inUse:
		return refuse("%s runs a program that is too old: the cluster uses command version %d, and it knows up to %d: upgrade it",
			hello.GetId(), inUse, newest)
	case oldest > inUse:
		return refuse("%s runs a program that is too new: the cluster uses command version %d, and it knows %d and up: "+
			"start it with a program that knows %d, or upgrade the cluster first", hello.GetId(), inUse, oldest, inUse)
	}
	return nil
}

// checkKnown refuses a log that ends with a command which this program does not
// know. The state machine would stop at it as well, but only once the node takes part.
func (s *store) checkKnown(newest uint32) error {
	return s.backwards(func(entry *raft.Log) (done bool, err error) {
		if entry.Type != raft.LogCommand {
			return false, nil
		}
		if _, err := command.Decode(entry.Data, newest); errors.Is(err, command.ErrUnknownCommand) {
			return true, fmt.Errorf("%w: entry %d of the log: %w", ErrTooOld, entry.Index, err)
		}
		return true, nil // what is wrong with it otherwise is for the state machine to say
	})
}
