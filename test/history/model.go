package history

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// model is what one table's pointer and one name are to clients. An append lands
// exactly if the table is where the writer saw it: a conflict that is none is a
// violation too.
var model = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, op := range history {
			entity := op.Input.(Operation).Entity
			by[entity] = append(by[entity], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range by {
			parts = append(parts, part)
		}
		return parts
	},
	// The state is the current snapshot, or 1 for a name that is there.
	Init: func() any { return int64(0) },
	Step: func(state, input, _ any) (bool, any) {
		ok, after := step(state.(int64), input.(Operation))
		return ok, after
	},
	DescribeOperation: func(input, _ any) string { return input.(Operation).String() },
	DescribeState:     func(state any) string { return fmt.Sprint(state) },
}

// step tells whether an operation can have its answer at a state, and the state
// after it.
func step(now int64, op Operation) (ok bool, after int64) {
	switch op.Kind {
	case Load:
		return op.Current == now, now
	case Look:
		return (op.Fate == Done) == (now == 1), now
	}
	from, to := op.Parent, op.ID
	switch op.Kind {
	case Create:
		from, to = 0, 1
	case Drop:
		from, to = 1, 0
	}
	switch op.Fate {
	case Done:
		return now == from, to
	case Refused:
		return now != from, now
	default:
		// It may be done at any time after its call, at the very end too.
		if now == from {
			return true, to
		}
		return true, now
	}
}
