package fsm

import (
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm/command"
)

// Entry is one committed entry of the log, as an archive keeps it.
type Entry struct {
	Index, Term uint64
	// Type is raft's number for what the entry is: a command, a configuration, or
	// one of raft's own that no machine sees.
	Type uint8
	// Data of the entry.
	Data []byte
}

// EntryOf is an entry of raft's log.
func EntryOf(log *raft.Log) Entry {
	return Entry{Index: log.Index, Term: log.Term, Type: uint8(log.Type), Data: log.Data}
}

// TimeMs is the replicated time that the entry tells; 0 where it tells none.
func (e Entry) TimeMs() (uint64, error) {
	if raft.LogType(e.Type) != raft.LogCommand {
		return 0, nil
	}
	return command.TimeMs(e.Data)
}

// Replay applies archived entries to a machine of its own, one that no raft
// feeds: those that raft would have handed over, after where the machine stands.
func (m *Machine) Replay(entries []Entry) error {
	logs := make([]*raft.Log, 0, len(entries))
	for _, e := range entries {
		switch t := raft.LogType(e.Type); t {
		case raft.LogCommand, raft.LogConfiguration:
			logs = append(logs, &raft.Log{Index: e.Index, Term: e.Term, Type: t, Data: e.Data})
		default:
		}
	}
	if len(logs) == 0 {
		return nil
	}
	for i, answer := range m.ApplyBatch(logs) {
		if err, failed := answer.(error); failed {
			return fmt.Errorf("fsm: replay entry %d: %w", logs[i].Index, err)
		}
	}
	return nil
}
