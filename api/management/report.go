package management

import (
	"context"
	"encoding/json"
	"time"

	"github.com/floeberg/floeberg/api/serve"
)

// Report is what a client told of its work on a table.
type Report struct {
	// Kind is scan-report or commit-report.
	Kind       string    `json:"kind"`
	ReceivedAt time.Time `json:"received_at"`
	SnapshotID int64     `json:"snapshot_id"`
	// Operation is what a commit did; "" of scans.
	Operation string           `json:"operation"`
	Counters  map[string]int64 `json:"counters"`
	Timers    map[string]Timer `json:"timers"`
	// Sent is the report as it came, in the protocol's own words.
	Sent json.RawMessage `json:"sent"`
}

// Timer is how often something was done and how long that took together.
type Timer struct {
	Count   int64   `json:"count"`
	Seconds float64 `json:"seconds"`
}

// Reports are the last reports of one table that one node got, newest first.
type Reports struct {
	Reports []Report `json:"reports"`
}

// listReports shows what this node got: reports are not in the replicated state.
// What others looked for in a table is in them, so it takes more than the right to read it.
func (a *api) listReports(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	list, err := a.catalog.TableReports(ctx, c.Read, c.Param("warehouse"), c.Identifier())
	if err != nil {
		return nil, err
	}
	out := Reports{Reports: make([]Report, len(list))}
	for i, r := range list {
		timers := make(map[string]Timer, len(r.Timers))
		for name, timer := range r.Timers {
			timers[name] = Timer{Count: timer.Count, Seconds: timer.Total.Seconds()}
		}
		out.Reports[i] = Report{
			Kind: r.Kind, ReceivedAt: time.UnixMilli(int64(r.ReceivedMs)).UTC(), SnapshotID: r.SnapshotID, Operation: r.Operation,
			Counters: r.Counters, Timers: timers, Sent: r.Body,
		}
	}
	return serve.JSON(0, out)
}
