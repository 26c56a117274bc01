package history

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

// Check is nil when one order of all operations explains every answer, and every
// acknowledged append is part of what the last load of its table shows. The
// history of each table must end with a load. The search takes no longer than
// the limit: past that the verdict is that it is not known, which is an error.
func (h *History) Check(limit time.Duration) error {
	operations := h.Operations()
	return errors.Join(lost(operations), linearizable(settle(operations), limit))
}

func linearizable(operations []Operation, limit time.Duration) error {
	if len(operations) == 0 {
		return errors.New("the history is empty")
	}
	began, ended := operations[0].Called, operations[0].Returned
	for _, op := range operations {
		if op.Called.Before(began) {
			began = op.Called
		}
		if op.Returned.After(ended) {
			ended = op.Returned
		}
	}
	events := make([]porcupine.Operation, len(operations))
	for i, op := range operations {
		returned := op.Returned
		if op.Fate == Unknown {
			returned = ended.Add(1)
		}
		events[i] = porcupine.Operation{
			ClientId: op.Client, Input: op,
			Call: op.Called.Sub(began).Nanoseconds(), Return: returned.Sub(began).Nanoseconds(),
		}
	}
	result, info := porcupine.CheckOperationsVerbose(model, events, limit)
	if result == porcupine.Ok {
		return nil
	}
	return fmt.Errorf("the history of %d operations is not linearizable: %s; %s", len(operations), result, draw(info))
}

// draw leaves a picture of the history for whoever looks into the failure.
func draw(info porcupine.LinearizationInfo) string {
	file, err := os.CreateTemp("", "floeberg-history-*.html")
	if err != nil {
		return err.Error()
	}
	if err := errors.Join(porcupine.Visualize(model, info, file), file.Close()); err != nil {
		return err.Error()
	}
	return "drawn in " + file.Name()
}

// lost names the acknowledged appends that the tables, as they were loaded last,
// don't have behind them. It is what the checker says too, said in a way that
// needs no search and tells what is missing.
func lost(operations []Operation) error {
	type table struct {
		parents map[int64]int64
		last    Operation
	}
	tables := map[string]*table{}
	for _, op := range operations {
		if op.Kind != Append && op.Kind != Load {
			continue
		}
		t := tables[op.Entity]
		if t == nil {
			t = &table{parents: map[int64]int64{}}
			tables[op.Entity] = t
		}
		if op.Kind == Append {
			t.parents[op.ID] = op.Parent
		} else if op.Fate == Done && op.Returned.After(t.last.Returned) {
			t.last = op
		}
	}
	behind := map[string]map[int64]bool{}
	for name, t := range tables {
		behind[name] = map[int64]bool{}
		for id := t.last.Current; id != 0 && !behind[name][id]; id = t.parents[id] {
			behind[name][id] = true
		}
	}
	var missing []error
	count := 0
	for _, op := range operations {
		if op.Kind != Append || op.Fate != Done || behind[op.Entity][op.ID] {
			continue
		}
		if count++; count <= 5 {
			missing = append(missing, fmt.Errorf("acknowledged and lost: %s", op))
		}
	}
	if count > 5 {
		missing = append(missing, fmt.Errorf("%d acknowledged appends lost in all", count))
	}
	return errors.Join(missing...)
}
