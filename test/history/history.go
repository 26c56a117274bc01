package history

import (
	"fmt"
	"sync"
	"time"
)

// History is what was asked of one cluster. Many clients may record at a time.
// What was never done for sure, because nothing was proposed, is not recorded:
// if it shows up all the same, nothing in the history explains it.
type History struct {
	mu         sync.Mutex
	operations []Operation
}

// Record adds an operation that was answered, or given up.
func (h *History) Record(op Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, op)
}

// Operations are those recorded so far.
func (h *History) Operations() []Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Operation(nil), h.operations...)
}

// Len is how many operations were recorded.
func (h *History) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.operations)
}

// Written are the moments at which changes were acknowledged between two
// moments, in no order.
func (h *History) Written(from, to time.Time) []time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	var at []time.Time
	for _, op := range h.operations {
		if op.writes() && op.Fate == Done && op.Returned.After(from) && op.Returned.Before(to) {
			at = append(at, op.Returned)
		}
	}
	return at
}

func (op Operation) writes() bool { return op.Kind != Load && op.Kind != Look }

// String is the operation for messages.
func (op Operation) String() string {
	fate := [...]string{"done", "refused", "unknown"}[op.Fate]
	switch op.Kind {
	case Append:
		return fmt.Sprintf("%s append %d→%d: %s", op.Entity, op.Parent, op.ID, fate)
	case Load:
		return fmt.Sprintf("%s load: %d", op.Entity, op.Current)
	default:
		return fmt.Sprintf("%s %s: %s", op.Entity, op.Kind, fate)
	}
}
