package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// Bounds of the reports that a node keeps. They are for looking at what happened
// lately on this node, and never go into the log.
const (
	maxReports     = 1000
	maxReportBytes = 4 << 20
)

// The kinds of reports.
const (
	// ScanReport is about the planning of a scan.
	ScanReport = "scan-report"
	// CommitReport is about a commit.
	CommitReport = "commit-report"
)

// Report is what a client tells of its work on a table.
type Report struct {
	// Kind is ScanReport or CommitReport.
	Kind       string
	SnapshotID int64
	// Operation is what the commit did; "" of scans.
	Operation string
	Counters  map[string]int64
	Timers    map[string]Timer
	// Body is the report as it was sent.
	Body json.RawMessage

	// The rest is the catalog's: which table it is about, and when it came.
	Warehouse  string
	Identifier Identifier
	TableID    []byte
	ReceivedMs uint64
}

// Timer is how often something was done and how long that took together.
type Timer struct {
	Count int64
	Total time.Duration
}

// reports keeps the last reports of a node.
type reports struct {
	mu    sync.Mutex
	last  []*Report // oldest first
	bytes int
}

// weight is about what a report takes in memory: it is there as sent and as read.
func (r *Report) weight() int { return 2*len(r.Body) + 512 }

func (r *reports) add(report *Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = append(r.last, report)
	r.bytes += report.weight()
	for len(r.last) > maxReports || r.bytes > maxReportBytes && len(r.last) > 1 {
		r.bytes -= r.last[0].weight()
		r.last[0] = nil
		r.last = r.last[1:]
	}
}

// of gives the reports of one table, newest first.
func (r *reports) of(tableID []byte) []*Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*Report
	for _, report := range slices.Backward(r.last) {
		if bytes.Equal(report.TableID, tableID) {
			found = append(found, report)
		}
	}
	return found
}

// ReportMetrics takes a client's report of its work on a table. It returns the log
// index at which the table was there.
func (c *Catalog) ReportMetrics(ctx context.Context, read Read, warehouse string, id Identifier, report Report) (uint64, error) {
	wh, e, index, err := c.lookTable(ctx, read, warehouse, id)
	if err != nil {
		return 0, err
	}
	report.Warehouse, report.Identifier, report.TableID, report.ReceivedMs = wh.Name, id, e.record.Id, c.log.NowMs()
	c.reports.add(&report)
	if call := c.opts.Observer.Reported; call != nil {
		call(&report)
	}
	return index, nil
}

// TableReports returns the last reports about a table that this node got, newest
// first, under whatever name they came. They must not be changed.
func (c *Catalog) TableReports(ctx context.Context, read Read, warehouse string, id Identifier) ([]*Report, error) {
	_, e, _, err := c.lookTable(ctx, read, warehouse, id)
	if err != nil {
		return nil, err
	}
	return c.reports.of(e.record.Id), nil
}
