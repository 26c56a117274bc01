package history

import "time"

// settle decides the appends of unknown fate, where the history of a table ends
// with a load after everything else. The id of an append is unique, and nothing
// follows on it but an append that names it as its parent. So if nobody has seen
// it, neither the last load nor a parent, it was never done; and if somebody has,
// it was done, before the end of the first operation that saw it. Without this
// the checker would have to try each of them at each place.
//
// It is not known of a drop or a create which other one it met, so those stay
// unknown.
func settle(operations []Operation) []Operation {
	seen := map[string]map[int64]time.Time{} // by table and snapshot: when it was first seen
	see := func(table string, id int64, at time.Time) {
		if seen[table] == nil {
			seen[table] = map[int64]time.Time{}
		}
		if first, ok := seen[table][id]; !ok || at.Before(first) {
			seen[table][id] = at
		}
	}
	for _, op := range operations {
		switch {
		case op.Kind == Load && op.Fate == Done:
			see(op.Entity, op.Current, op.Returned)
		case op.Kind == Append && op.Fate == Done:
			// It was done at its parent, and made its own id what the table is at.
			see(op.Entity, op.Parent, op.Returned)
		}
	}
	settled := make([]Operation, 0, len(operations))
	for _, op := range operations {
		if op.Kind == Append && op.Fate == Unknown {
			at, ok := seen[op.Entity][op.ID]
			if !ok {
				continue
			}
			op.Fate, op.Returned = Done, at
		}
		settled = append(settled, op)
	}
	return settled
}
