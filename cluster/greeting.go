package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// A stream of Raft begins with whom it is for: the hash of the cluster's id,
// zeros where that is not known yet, and the id of the node that is meant, with
// its length before it. Raft's own messages say neither, and addresses change
// hands: what is meant for another node must not be taken by this one.

var (
	errOtherNode = errors.New("the stream is for another node")
	errBlank     = errors.New("this node has no state and was not let in yet")
)

// greeting is the beginning of a stream to a node.
func greeting(clusterID, node string) []byte {
	hash := clusterHash(clusterID)
	if hash == nil {
		hash = make([]byte, clusterHashSize)
	}
	return append(append(append([]byte{streamRaft}, hash...), byte(len(node))), node...)
}

// readGreeting reads what comes after the stream's kind.
func readGreeting(r io.Reader) (hash []byte, node string, err error) {
	head := make([]byte, clusterHashSize+1)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, "", err
	}
	id := make([]byte, head[clusterHashSize])
	if _, err := io.ReadFull(r, id); err != nil {
		return nil, "", err
	}
	return head[:clusterHashSize], string(id), nil
}

// takes tells whether this node takes a stream of Raft that begins so.
func (n *Node) takes(hash []byte, node string) error {
	mine := clusterHash(n.ClusterID())
	known := string(hash) != string(make([]byte, clusterHashSize))
	switch {
	case node != n.opts.ID:
		return fmt.Errorf("%w: %q", errOtherNode, node)
	case mine != nil && known && string(hash) != string(mine):
		return errOtherCluster
	case mine == nil && known && n.alone():
		// It founds one by itself, whose id is not minted yet: this is not that one.
		return errOtherCluster
	case !n.admitted.Load():
		return errBlank
	}
	return nil
}

// raftStreams is the cluster port as raft's transport wants it.
type raftStreams struct {
	*lane
	port      *port
	clusterID func() string
	// elsewhere is another address at which a node is seen; "" is none.
	elsewhere func(node string) string
}

var _ raft.StreamLayer = (*raftStreams)(nil)

// named puts a node's id before its address, for Dial to know whom it calls.
func named(id raft.ServerID, address raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(string(id) + "@" + string(address))
}

// Dial implements raft.StreamLayer. Where a node is not at the address that the
// configuration has, it may be seen at another one: who answers there says that it
// is the node and of the cluster, or refuses.
func (s *raftStreams) Dial(to raft.ServerAddress, timeout time.Duration) (conn net.Conn, err error) {
	at := strings.LastIndexByte(string(to), '@')
	node, address := string(to[:max(at, 0)]), string(to[at+1:])
	begin := greeting(s.clusterID(), node)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	first, stop := context.WithTimeout(ctx, timeout/2)
	defer stop()
	if conn, err = s.port.dial(first, address, begin); err == nil {
		return conn, nil
	}
	other := s.elsewhere(node)
	if other == "" || other == address {
		return nil, err
	}
	if conn, there := s.port.dial(ctx, other, begin); there == nil {
		return conn, nil
	}
	return nil, err
}
