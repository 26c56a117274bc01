package state

import (
	"errors"
	"fmt"
)

// AuditHeadsKey is where it is kept how far a node's audit log has come in a sink.
func AuditHeadsKey(node, sink string) []byte {
	return appendName(appendName([]byte{byte(SpaceAudit)}, node), sink)
}

// AuditHeads returns how far a node's audit log has come in a sink.
func (v *View) AuditHeads(node, sink string) (*AuditHeads, uint64, bool, error) {
	rec := &AuditHeads{}
	rev, ok, err := load(v, AuditHeadsKey(node, sink), rec)
	return rec, rev, ok, err
}

// AllAuditHeads returns those of all nodes, in the order of their names.
func (v *View) AllAuditHeads() ([]*AuditHeads, error) {
	var out []*AuditHeads
	var failed error
	err := v.Scan(SpaceRange(SpaceAudit), func(key []byte, value Value) bool {
		rec := &AuditHeads{}
		if failed = Decode(value, rec); failed != nil {
			failed = fmt.Errorf("key %x: %w", key, failed)
			return false
		}
		out = append(out, rec)
		return true
	})
	return out, errors.Join(err, failed)
}
