package fsm_test

import (
	"bytes"
	"fmt"
	"maps"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm"

	"github.com/floeberg/floeberg/fsm/command"
)

// model is what the state machine does, said with plain maps.
type model struct {
	timeMs   uint64
	revision uint64
	version  uint32
	rows     map[string]modelRow
	known    map[string]modelIdentity
}

type modelRow struct {
	value     string
	revision  uint64
	expiresMs uint64
}

type modelIdentity struct {
	result     command.Result
	deadlineMs uint64
}

func newModel() *model {
	return &model{version: command.FirstVersion, rows: map[string]modelRow{}, known: map[string]modelIdentity{}}
}

// graceMs is how long past its deadline an identity is remembered at least.
const graceMs = 60_000

// apply returns the outcomes that are allowed for a command: one, or two where
// it depends on how far sweeping has come.
func (m *model) apply(index uint64, c *command.Command) []command.Result {
	m.timeMs = max(m.timeMs, c.GetTimeMs())
	m.version = max(m.version, c.GetRaiseVersion().GetVersion())
	tx := c.GetTransaction()
	if tx == nil {
		return []command.Result{{Outcome: command.Applied, Revision: m.revision, Index: index}}
	}
	if first, ok := m.known[string(tx.GetId())]; ok {
		if first.deadlineMs+graceMs >= m.timeMs {
			return []command.Result{first.result}
		}
		return []command.Result{first.result, {Outcome: command.Forgotten, Index: index}}
	}
	if tx.GetDeadlineMs() < m.timeMs {
		late := []command.Result{{Outcome: command.Expired, Index: index}}
		if tx.GetDeadlineMs()+graceMs < m.timeMs {
			late = append(late, command.Result{Outcome: command.Forgotten, Index: index})
		}
		return late
	}
	result := m.decide(index, tx)
	m.known[string(tx.GetId())] = modelIdentity{result, tx.GetDeadlineMs()}
	return []command.Result{result}
}

func (m *model) decide(index uint64, tx *command.Transaction) command.Result {
	for i, p := range tx.GetPreconditions() {
		if !m.holds(p) {
			return command.Result{Outcome: command.Rejected, Failed: i, Index: index}
		}
	}
	if tx.GetRestore() != nil && !m.restore() {
		return command.Result{Outcome: command.Rejected, Failed: command.Malformed, Index: index}
	}
	if len(tx.GetWrites()) > 0 {
		m.revision++
	}
	for _, w := range tx.GetWrites() {
		switch kind := w.GetKind().(type) {
		case *command.Write_Put:
			m.rows[string(kind.Put.GetKey())] = modelRow{string(kind.Put.GetValue()), m.revision, kind.Put.GetExpiresMs()}
		case *command.Write_Delete:
			delete(m.rows, string(kind.Delete))
		case *command.Write_DeleteRange:
			for key := range m.rows {
				if inRange(key, kind.DeleteRange) {
					delete(m.rows, key)
				}
			}
		}
	}
	return command.Result{Outcome: command.Applied, Revision: m.revision, Index: index}
}

// restore takes the other state, if its stream is there in full.
func (m *model) restore() bool {
	other := otherState()
	if m.rows[string(key("stream 1"))].value+m.rows[string(key("stream 2"))].value != string(other.stream) {
		return false
	}
	m.rows = maps.Clone(other.rows)
	m.revision = max(m.revision, other.revision) + 1<<32
	m.timeMs = max(m.timeMs, other.timeMs)
	return true
}

func (m *model) holds(p *command.Precondition) bool {
	switch kind := p.GetKind().(type) {
	case *command.Precondition_Absent:
		return !m.live(string(kind.Absent))
	case *command.Precondition_Present:
		return m.live(string(kind.Present))
	case *command.Precondition_AtRevision:
		key := string(kind.AtRevision.GetKey())
		return m.live(key) && m.rows[key].revision == kind.AtRevision.GetRevision()
	case *command.Precondition_RangeEmpty:
		for key := range m.rows {
			if m.live(key) && inRange(key, kind.RangeEmpty) {
				return false
			}
		}
		return true
	default:
		panic(fmt.Sprintf("no precondition: %T", kind))
	}
}

func (m *model) live(key string) bool {
	row, ok := m.rows[key]
	return ok && (row.expiresMs == 0 || row.expiresMs > m.timeMs)
}

func inRange(key string, r *command.Range) bool {
	return key >= string(r.GetStart()) && key < string(r.GetEnd())
}

// contents is what contents(t, machine) must return.
func (m *model) contents() map[string]string {
	out := map[string]string{}
	for key, row := range m.rows {
		if m.live(key) {
			out[key[1:len(key)-2]] = fmt.Sprintf("%s@%d", row.value, row.revision)
		}
	}
	return out
}

// other is a state to restore and the stream of it.
type other struct {
	model
	stream []byte
}

// otherState has a high revision, a time that a history reaches in its course, and
// rows that are gone by then.
func otherState() *other {
	theOther.Do(func() { theOther.other = makeOther() })
	return theOther.other
}

var theOther struct {
	sync.Once
	other *other
}

func makeOther() *other {
	m, err := fsm.Open(options(vfs.NewMem(), func(err error) { panic(err) }))
	if err != nil {
		panic(err)
	}
	out := &other{model: *newModel()}
	const first, last = 1_020_000, 1_050_000
	for i, commands := range [][]*command.Command{
		{at(first, transaction(5_000, put("a", "theirs"), put("c", "theirs"), event("theirs")))},
		{at(first+1, transaction(5_001, putUntil("longer name", "soon gone", last+10), putUntil("d", "gone", first+2)))},
		{at(last, transaction(5_002, absent("a"), put("b", "never"))), at(last, transaction(5_003, put("c", "theirs again")))},
	} {
		data, err := command.Encode(&command.Entry{Commands: commands}, command.FirstVersion)
		if err != nil {
			panic(err)
		}
		m.Apply(&raft.Log{Index: uint64(100 + i), Term: 9, Type: raft.LogCommand, Data: data})
		for _, c := range commands {
			out.apply(uint64(100+i), c)
		}
	}
	var stream bytes.Buffer
	if _, err := m.WriteSnapshot(&stream); err != nil {
		panic(err)
	}
	out.stream = stream.Bytes()
	if err := m.Close(); err != nil {
		panic(err)
	}
	return out
}
