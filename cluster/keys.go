package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// keyringTimeout bounds how long one node is waited for.
const keyringTimeout = 5 * time.Second

// GossipKeys are the keys of one node by their ids, and whether it answered.
type GossipKeys struct {
	Node string
	// IDs are its keys; the first one is the one that it encrypts with. None where
	// it gossips without encryption.
	IDs []string
	// Error is why the node did not do what was asked, or does not answer; "" is that it did.
	Error string
}

// Keyring looks at the gossip keys of every node, with a leader or without.
func (n *Node) Keyring(ctx context.Context) []GossipKeys {
	return n.askKeyrings(ctx, &KeyringRequest{Operation: KeyringRequest_OPERATION_LIST})
}

// InstallGossipKey gives a key to every node, to decrypt with. Like UseGossipKey
// and RemoveGossipKey it can be called again, and fails with a *Refusal, and
// nothing done, where a node does not answer: it would be cut off.
func (n *Node) InstallGossipKey(ctx context.Context, key []byte) ([]GossipKeys, error) {
	return n.changeKeyrings(ctx, &KeyringRequest{Operation: KeyringRequest_OPERATION_INSTALL, Key: key, KeyId: GossipKeyID(key)})
}

// UseGossipKey has every node encrypt with a key that all of them have.
func (n *Node) UseGossipKey(ctx context.Context, id string) ([]GossipKeys, error) {
	return n.changeKeyrings(ctx, &KeyringRequest{Operation: KeyringRequest_OPERATION_USE, KeyId: id})
}

// RemoveGossipKey has every node forget a key that none of them encrypts with.
func (n *Node) RemoveGossipKey(ctx context.Context, id string) ([]GossipKeys, error) {
	return n.changeKeyrings(ctx, &KeyringRequest{Operation: KeyringRequest_OPERATION_REMOVE, KeyId: id})
}

// changeKeyrings has the leader make a change everywhere. A change can be made
// twice, so whatever goes wrong on the way there is tried again.
func (n *Node) changeKeyrings(ctx context.Context, req *KeyringRequest) ([]GossipKeys, error) {
	req.Everywhere = true
	ctx, cancel := context.WithTimeout(ctx, n.opts.ProposeTimeout)
	defer cancel()
	for {
		var resp *KeyringResponse
		id, address := n.leader()
		err := errNoLeader
		switch id {
		case "":
		case n.opts.ID:
			resp, err = n.answerKeyring(ctx, req)
		default:
			req.TimeoutMs = remainingMs(ctx)
			resp = &KeyringResponse{}
			err = n.caller.call(ctx, address, pathKeyring, req, resp)
		}
		switch {
		case err == nil && resp.GetRefused() != "":
			return nil, &Refusal{resp.GetRefused()}
		case err == nil && !resp.GetNotLeader():
			return shownKeyrings(resp.GetNodes()), nil
		case err == nil:
			err = errNotLeader
		}
		select {
		case <-time.After(lastPause):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

func shownKeyrings(nodes []*NodeKeyring) []GossipKeys {
	out := make([]GossipKeys, len(nodes))
	for i, k := range nodes {
		out[i] = GossipKeys{Node: k.GetNode(), IDs: k.GetKeyIds(), Error: k.GetError()}
	}
	return out
}

func (n *Node) answerKeyring(ctx context.Context, req *KeyringRequest) (*KeyringResponse, error) {
	if req.GetEverywhere() {
		return n.leadKeyringChange(ctx, req)
	}
	k := n.gossip.keys()
	var err error
	switch req.GetOperation() {
	case KeyringRequest_OPERATION_LIST:
	case KeyringRequest_OPERATION_INSTALL:
		err = k.install(req.GetKey())
	case KeyringRequest_OPERATION_USE:
		err = k.use(req.GetKeyId())
	case KeyringRequest_OPERATION_REMOVE:
		err = k.remove(req.GetKeyId())
	default:
		err = fmt.Errorf("this node does not know the operation %d on gossip keys", req.GetOperation())
	}
	resp := &KeyringResponse{Keyring: &NodeKeyring{Node: n.opts.ID, KeyIds: k.ids()}}
	switch {
	case err != nil:
		resp.Keyring.Error = err.Error()
		n.logger.Warn("the gossip keys were not changed", "operation", keyringVerb(req), "key", req.GetKeyId(), "error", err)
	case req.GetOperation() != KeyringRequest_OPERATION_LIST:
		n.logger.Info("the gossip keys were changed", "operation", keyringVerb(req), "key", req.GetKeyId())
	}
	return resp, nil
}

func keyringVerb(req *KeyringRequest) string {
	switch req.GetOperation() {
	case KeyringRequest_OPERATION_INSTALL:
		return "install"
	case KeyringRequest_OPERATION_USE:
		return "use"
	case KeyringRequest_OPERATION_REMOVE:
		return "remove"
	}
	return "list"
}

// leadKeyringChange looks at every node first, and makes a change only where it
// leaves nobody behind.
func (n *Node) leadKeyringChange(ctx context.Context, req *KeyringRequest) (*KeyringResponse, error) {
	ctx, cancel := within(ctx, req.GetTimeoutMs())
	defer cancel()
	n.keyChanges.Lock()
	defer n.keyChanges.Unlock()
	if !n.leads() {
		return &KeyringResponse{NotLeader: true}, nil
	}
	term := n.leadership.open.Load()
	if err := mayChange(req, n.Keyring(ctx)); err != nil {
		if !n.leads() || n.leadership.open.Load() != term {
			// That nobody answered may be the very reason why it leads no more: it is
			// for the next leader to judge.
			return &KeyringResponse{NotLeader: true}, nil
		}
		return &KeyringResponse{Refused: err.Error()}, nil
	}
	each := &KeyringRequest{Operation: req.GetOperation(), Key: req.GetKey(), KeyId: req.GetKeyId()}
	resp := &KeyringResponse{}
	for _, k := range n.askKeyrings(ctx, each) {
		resp.Nodes = append(resp.Nodes, &NodeKeyring{Node: k.Node, KeyIds: k.IDs, Error: k.Error})
	}
	return resp, nil
}

// mayChange tells why a change must not be made as the nodes are.
func mayChange(req *KeyringRequest, now []GossipKeys) error {
	id := req.GetKeyId()
	for _, k := range now {
		switch {
		case k.Error != "":
			return refuse("nothing was changed, as %s does not answer: start it, or remove it from the cluster, and repeat this (%s)", k.Node, k.Error)
		case len(k.IDs) == 0:
			return refuse("nothing was changed, as %s gossips without encryption: start every node with --gossip-key first", k.Node)
		}
		has := slices.Contains(k.IDs, id)
		switch req.GetOperation() {
		case KeyringRequest_OPERATION_USE:
			if !has {
				return refuse("nothing was changed, as %s does not have the key %s: install it first", k.Node, id)
			}
		case KeyringRequest_OPERATION_REMOVE:
			if k.IDs[0] == id {
				return refuse("nothing was changed, as %s encrypts with the key %s: use another one first", k.Node, id)
			}
		}
	}
	return nil
}

// askKeyrings asks every node at the same time: the members, and whoever gossip
// sees beside them, since it would be cut off as well.
func (n *Node) askKeyrings(ctx context.Context, req *KeyringRequest) []GossipKeys {
	ctx, cancel := context.WithTimeout(ctx, keyringTimeout)
	defer cancel()
	out := fromEach(n.peers(), func(p Peer) GossipKeys {
		resp, err := callNode(ctx, n, p.ID, p.Cluster, pathKeyring, n.answerKeyring, req, &KeyringResponse{})
		k := GossipKeys{Node: p.ID, IDs: resp.GetKeyring().GetKeyIds(), Error: resp.GetKeyring().GetError()}
		if err != nil {
			k.Error = err.Error()
		}
		return k
	})
	slices.SortFunc(out, func(a, b GossipKeys) int { return cmp.Compare(a.Node, b.Node) })
	return out
}
