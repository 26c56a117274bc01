package load

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/history"
)

// Options is what a load does. The zero value is four tables and six names, with
// an Idempotency-Key for every change.
type Options struct {
	// Namespace is where everything lives; "" is "load".
	Namespace string
	// Tables is how many all workers share; 0 is 4.
	Tables int
	// Names is how many are created and dropped; 0 is 6, less than 0 is none.
	Names int
	// Keyless sends no Idempotency-Key, as old clients do. What becomes of a
	// change whose connection broke is then not known.
	Keyless bool
	// Pause is how long each worker rests between two requests.
	Pause time.Duration
}

// requestLimit is how long a worker waits for an answer: longer than any node
// lets a request wait.
const requestLimit = time.Minute

// Load is a load and what it saw.
type Load struct {
	// History is what was asked and answered.
	History history.History

	options Options
	tables  []string
	names   names
	answers answers
	clients atomic.Int64
	workers sync.WaitGroup
}

// New makes the namespace and the tables of a load through a client.
func New(ctx context.Context, c *client.Client, o Options) (*Load, error) {
	if o.Namespace == "" {
		o.Namespace = "load"
	}
	if o.Tables == 0 {
		o.Tables = 4
	}
	if o.Names == 0 {
		o.Names = 6
	}
	l := &Load{options: o}
	l.names.reset(o.Names)
	made, err := c.CreateNamespace(ctx, nil, o.Namespace)
	if err != nil {
		return nil, err
	}
	if made.Status != http.StatusOK {
		return nil, fmt.Errorf("making namespace %s: %s", o.Namespace, made)
	}
	for i := range o.Tables {
		name := fmt.Sprintf("t%d", i)
		made, err := c.CreateTable(ctx, o.Namespace, name)
		if err != nil {
			return nil, err
		}
		if made.Status != http.StatusOK {
			return nil, fmt.Errorf("making table %s: %s", name, made)
		}
		l.tables = append(l.tables, name)
	}
	return l, nil
}

// Namespace is where the tables are.
func (l *Load) Namespace() string { return l.options.Namespace }

// Tables are the names of the shared tables.
func (l *Load) Tables() []string { return l.tables }

// Go lets workers ask through a client until ctx ends. What is under way then
// is let finish: its outcome belongs to the history.
func (l *Load) Go(ctx context.Context, c *client.Client, workers int) {
	for range workers {
		w := l.worker(c)
		l.workers.Go(func() { w.run(ctx) })
	}
}

// LoadAtOnce sends n loads at the same moment, each as a client of its own.
func (l *Load) LoadAtOnce(ctx context.Context, c *client.Client, n int) {
	for i := range n {
		w := l.worker(c)
		l.workers.Go(func() {
			own, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit)
			defer cancel()
			w.load(own, l.tables[i%len(l.tables)])
		})
	}
}

// Wait returns when all workers have ended.
func (l *Load) Wait() { l.workers.Wait() }

// Last loads every table once more, when all is over: it closes the history of
// each, and gives the tables as they are.
func (l *Load) Last(ctx context.Context, c *client.Client) ([]*client.Table, error) {
	w := l.worker(c)
	tables := make([]*client.Table, 0, len(l.tables))
	for _, name := range l.tables {
		table := w.load(ctx, name)
		if table == nil {
			return nil, fmt.Errorf("loading %s when all was over: %w", name, l.answers.last())
		}
		tables = append(tables, table)
	}
	return tables, nil
}

func (l *Load) worker(c *client.Client) *worker {
	return &worker{of: l, c: c, id: int(l.clients.Add(1)), known: map[string]*client.Table{}}
}
