package cluster

// Living is how many nodes gossip sees now, this one included: those among which
// clients' requests are spread.
func (n *Node) Living() int { return max(1, len(n.gossip.members())) }
