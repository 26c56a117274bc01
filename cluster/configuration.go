package cluster

import (
	"slices"
	"sync"

	"github.com/hashicorp/raft"
)

// configuration is the last configuration that is known to be committed, with the
// index of its log entry. Changes are bound to that index. Raft does not tell it:
// the Index of what GetConfiguration returns is always 0, which as the previous
// index of a change means "whatever there is".
type configuration struct {
	mu      sync.Mutex
	index   uint64
	servers []raft.Server
	changed *signal
}

func newConfiguration() *configuration { return &configuration{changed: newSignal()} }

// note takes over a committed configuration, unless a newer one is known.
func (c *configuration) note(index uint64, servers []raft.Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if index <= c.index {
		return
	}
	c.index, c.servers = index, slices.Clone(servers)
	c.changed.changed()
}

// noteEntries takes over what committed log entries say.
func (c *configuration) noteEntries(logs []*raft.Log) {
	for _, l := range logs {
		if l.Type == raft.LogConfiguration {
			c.note(l.Index, raft.DecodeConfiguration(l.Data).Servers)
		}
	}
}

// committed returns the configuration and its index; 0 is none.
func (c *configuration) committed() (index uint64, servers []raft.Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.index, slices.Clone(c.servers)
}

// find returns a member by id.
func find(servers []raft.Server, id string) (raft.Server, bool) {
	i := slices.IndexFunc(servers, func(s raft.Server) bool { return string(s.ID) == id })
	if i < 0 {
		return raft.Server{}, false
	}
	return servers[i], true
}

func isVoter(s raft.Server) bool { return s.Suffrage == raft.Voter }

// votersOf are the ids of those who vote.
func votersOf(servers []raft.Server) []string {
	var out []string
	for _, s := range servers {
		if isVoter(s) {
			out = append(out, string(s.ID))
		}
	}
	return out
}
