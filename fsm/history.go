package fsm

import "sync"

// keepMarks is how many of the last entries' checksums a machine remembers: some
// seconds of the busiest cluster, in a quarter of a megabyte.
const keepMarks = 8192

// history is what checksum the state had after each of the last entries. It lives
// in memory: a machine that was started knows of what it has applied since.
type history struct {
	mu    sync.Mutex
	marks []position
	// next is where the next one goes once there are keepMarks of them.
	next int
}

func (h *history) add(marks ...position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, mark := range marks {
		if len(h.marks) < keepMarks {
			h.marks = append(h.marks, mark)
			continue
		}
		h.marks[h.next] = mark
		h.next = (h.next + 1) % keepMarks
	}
}

// at returns the last that is known of an index.
func (h *history) at(index uint64) (found position, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.marks {
		// From the newest on.
		mark := h.marks[(h.next-1-i+2*len(h.marks))%len(h.marks)]
		if mark.index == index {
			return mark, true
		}
	}
	return found, false
}

// ChecksumAt returns the checksum of the whole state as it was after an entry,
// and the entry's term. It is equal on all nodes. ok is false where this machine
// did not apply that entry, or so many since that it has forgotten.
func (m *Machine) ChecksumAt(index uint64) (sum [16]byte, term uint64, ok bool) {
	mark, ok := m.history.at(index)
	return mark.sum.Bytes(), mark.term, ok
}
