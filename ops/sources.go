package ops

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Sources are asked at each scrape. Each must answer fast, from what it has at
// hand; a nil one is left out.
type Sources struct {
	// Raft is where this node stands in the cluster.
	Raft func() RaftFigures
	// Entities counts what the catalog holds. It may be costly: its answer is
	// used again for CountEvery.
	Entities func(context.Context) (EntityFigures, error)
	// CountEvery is how old counts of entities may be. Default 15 s.
	CountEvery time.Duration
	// Certificates are those of this node.
	Certificates func() []CertificateFigure
	// Figures are further ones, such as those of the stores below.
	Figures []func() []Figure
}

// RaftFigures is where a node stands in the cluster.
type RaftFigures struct {
	// State is one of RaftStates.
	State string
	// Term is the latest term seen.
	Term uint64
	// CommitIndex is the last log entry known to be on a majority.
	CommitIndex uint64
	// AppliedIndex is the last log entry that this node's state shows.
	AppliedIndex uint64
	// LastContact is how long ago the leader was heard; 0 on the leader.
	LastContact time.Duration
}

// RaftStates are the values of a node's state.
func RaftStates() []string { return []string{"Follower", "Candidate", "Leader", "Shutdown"} }

// EntityFigures is how much the catalog holds.
type EntityFigures struct {
	Namespaces, Tables, Views int
	// Tasks is background jobs by their status.
	Tasks map[string]int
}

// Figure is one value with a name of its own.
type Figure struct {
	// Name without the prefix that all have; counters end in _total.
	Name string
	// Help says what it is.
	Help string
	// Counter values only grow.
	Counter bool
	// Value is the figure.
	Value float64
}

// countTimeout bounds what counting may add to a scrape.
const countTimeout = 5 * time.Second

// Watch adds the series of sources. It is called at most once.
func (m *Metrics) Watch(s Sources) error {
	if s.CountEvery == 0 {
		s.CountEvery = 15 * time.Second
	}
	var errs []error
	if s.Raft != nil {
		errs = append(errs, m.registry.Register(&raftCollector{ask: s.Raft}))
	}
	if s.Entities != nil {
		errs = append(errs, m.registry.Register(&entityCollector{ask: s.Entities, every: s.CountEvery}))
	}
	if s.Certificates != nil {
		errs = append(errs, m.registry.Register(&certificateCollector{ask: s.Certificates}))
	}
	if len(s.Figures) > 0 {
		errs = append(errs, m.registry.Register(&figureCollector{ask: s.Figures}))
	}
	return errors.Join(errs...)
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

func constant(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

var (
	raftState       = describe("raft_state", "1 for the state that this node is in, 0 for the others.", "state")
	raftTerm        = describe("raft_term", "Latest Raft term seen.")
	raftCommit      = describe("raft_commit_index", "Last log entry known to be on a majority.")
	raftApplied     = describe("raft_applied_index", "Last log entry that this node's state shows.")
	raftLastContact = describe("raft_last_contact_seconds", "Time since the leader was last heard; 0 on the leader.")

	namespaces = describe("namespaces", "Namespaces in the catalog.")
	tables     = describe("tables", "Tables in the catalog.")
	views      = describe("views", "Views in the catalog.")
	tasks      = describe("tasks", "Background jobs in the catalog, those included that ended in the last days.", "status")
)

type raftCollector struct{ ask func() RaftFigures }

// Describe implements prometheus.Collector.
func (c *raftCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{raftState, raftTerm, raftCommit, raftApplied, raftLastContact} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *raftCollector) Collect(out chan<- prometheus.Metric) {
	f := c.ask()
	for _, state := range RaftStates() {
		value := 0.0
		if state == f.State {
			value = 1
		}
		out <- constant(raftState, value, state)
	}
	out <- constant(raftTerm, float64(f.Term))
	out <- constant(raftCommit, float64(f.CommitIndex))
	out <- constant(raftApplied, float64(f.AppliedIndex))
	out <- constant(raftLastContact, f.LastContact.Seconds())
}

// entityCollector keeps the last counts, so that scrapes by several collectors
// do not each walk the state.
type entityCollector struct {
	ask   func(context.Context) (EntityFigures, error)
	every time.Duration

	mu      sync.Mutex
	counted time.Time
	last    EntityFigures
}

// Describe implements prometheus.Collector.
func (c *entityCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{namespaces, tables, views, tasks} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *entityCollector) Collect(out chan<- prometheus.Metric) {
	f, err := c.count()
	if err != nil {
		for _, d := range []*prometheus.Desc{namespaces, tables, views, tasks} {
			out <- prometheus.NewInvalidMetric(d, err)
		}
		return
	}
	out <- constant(namespaces, float64(f.Namespaces))
	out <- constant(tables, float64(f.Tables))
	out <- constant(views, float64(f.Views))
	for status, n := range f.Tasks {
		out <- constant(tasks, float64(n), status)
	}
}

func (c *entityCollector) count() (EntityFigures, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.counted.IsZero() && time.Since(c.counted) < c.every {
		return c.last, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	f, err := c.ask(ctx)
	if err != nil {
		return f, err
	}
	c.last, c.counted = f, time.Now()
	return f, nil
}

// figureCollector passes figures on. It describes nothing, since only the
// sources know what there is.
type figureCollector struct{ ask []func() []Figure }

// Describe implements prometheus.Collector.
func (c *figureCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *figureCollector) Collect(out chan<- prometheus.Metric) {
	for _, ask := range c.ask {
		for _, f := range ask() {
			kind := prometheus.GaugeValue
			if f.Counter {
				kind = prometheus.CounterValue
			}
			desc := describe(f.Name, f.Help)
			metric, err := prometheus.NewConstMetric(desc, kind, f.Value)
			if err != nil {
				metric = prometheus.NewInvalidMetric(desc, err)
			}
			out <- metric
		}
	}
}
