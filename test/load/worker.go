package load

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/history"
)

// breath is how long a worker waits after an answer that was none of the ones it
// hoped for: less than the Retry-After that such answers ask for, so that the
// end of a trouble is seen when it comes.
const breath = 50 * time.Millisecond

// worker is one client. It asks one thing at a time.
type worker struct {
	of    *Load
	c     *client.Client
	id    int
	known map[string]*client.Table // as the last answer showed them
}

// run asks until ctx ends: half of the operations go to the tables, half to the
// names.
func (w *worker) run(ctx context.Context) {
	l := w.of
	for ctx.Err() == nil {
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit)
		table, name := l.tables[rand.IntN(len(l.tables))], l.names.any()
		choice := rand.IntN(5)
		if name == "" {
			choice %= 3
		}
		var good bool
		switch choice {
		case 0, 1:
			good = w.append(own, table)
		case 2:
			w.known[table] = w.load(own, table)
			good = w.known[table] != nil
		case 3:
			good = w.create(own, name)
		default:
			good = w.dropOrLook(own, name)
		}
		cancel()
		rest := l.options.Pause
		if !good {
			rest = max(rest, breath)
		}
		if rest > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(rest):
			}
		}
	}
}

func (w *worker) load(ctx context.Context, name string) *client.Table {
	op := history.Operation{Entity: "table " + name, Kind: history.Load}
	res, _ := w.ask(ctx, op, client.Request{Method: http.MethodGet, Path: w.c.TablePath(w.of.options.Namespace, name)})
	if res == nil {
		return nil
	}
	table, err := res.Table()
	if err != nil {
		return nil // ask has noted it
	}
	return table
}

// append adds a snapshot to the table as this worker last saw it, so that
// conflicts are as common as they are with engines.
func (w *worker) append(ctx context.Context, name string) bool {
	table := w.known[name]
	delete(w.known, name)
	if table == nil {
		if table = w.load(ctx, name); table == nil {
			return false
		}
	}
	id := client.NewSnapshotID()
	requirements, updates := table.Append("main", id)
	// Old snapshots are let go, as maintenance does, so that documents stay small.
	if n := len(table.Metadata.Snapshots); n > 40 {
		var old []int64
		for _, s := range table.Metadata.Snapshots[:n-20] {
			old = append(old, s.ID)
		}
		updates = append(updates, client.Object{"action": "remove-snapshots", "snapshot-ids": old})
	}
	op := history.Operation{Entity: "table " + name, Kind: history.Append, Parent: table.Metadata.Current(), ID: id}
	res, good := w.ask(ctx, op, client.CommitRequest(w.c, w.of.options.Namespace, name, requirements, updates))
	if res != nil {
		if after, err := res.Table(); err == nil {
			w.known[name] = after
		}
	}
	return good
}

func (w *worker) create(ctx context.Context, name string) bool {
	op := history.Operation{Entity: "name " + name, Kind: history.Create}
	_, good := w.ask(ctx, op, client.CreateTableRequest(w.c, w.of.options.Namespace, name))
	return good
}

func (w *worker) dropOrLook(ctx context.Context, name string) bool {
	r := client.Request{Method: http.MethodHead, Path: w.c.TablePath(w.of.options.Namespace, name)}
	op := history.Operation{Entity: "name " + name, Kind: history.Look}
	if rand.IntN(2) == 0 {
		r.Method, op.Kind = http.MethodDelete, history.Drop
	}
	_, good := w.ask(ctx, op, r)
	return good
}

// ask sends one request, counts its answer and records what it says. The
// response is nil unless the operation was done; good tells whether it was done
// or refused for what is there.
func (w *worker) ask(ctx context.Context, op history.Operation, r client.Request) (res *client.Response, good bool) {
	l := w.of
	if l.options.Keyless {
		r.Key = client.NoKey
	}
	op.Client, op.Called = w.id, time.Now()
	res, err := w.c.Do(ctx, r)
	op.Returned = time.Now()
	a := answer{op: op, request: r, response: res, err: err}
	said := a.read()
	l.answers.add(a, said)
	if said.recorded {
		op.Fate, op.Current = said.fate, said.current
		l.History.Record(op)
		if op.Fate == history.Unknown {
			l.names.giveUp(strings.TrimPrefix(op.Entity, "name "))
		}
	}
	if said.good && said.fate == history.Done {
		return res, true
	}
	return nil, said.good
}
