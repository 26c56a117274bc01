package rest

import (
	"bytes"
	"context"

	"github.com/floeberg/floeberg/api/rest/wire"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/internal/catalog"
)

// maxReportBytes bounds a report: a filter over many columns fits in.
const maxReportBytes = 256 << 10

// reportMetrics changes nothing in the catalog, so it has no Idempotency-Key.
func (a *api) reportMetrics(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	if len(c.Body) > maxReportBytes {
		return nil, &catalog.Error{Kind: catalog.KindTooLarge, Message: "The report is too large: at most 256 KiB are taken"}
	}
	req, err := wire.ParseReport(c.Body)
	if err != nil {
		return nil, err
	}
	report := catalog.Report{
		Kind: req.Kind, SnapshotID: req.SnapshotID, Operation: req.Operation, Counters: req.Counters,
		Timers: make(map[string]catalog.Timer, len(req.Timers)), Body: bytes.Clone(c.Body),
	}
	for name, timer := range req.Timers {
		report.Timers[name] = catalog.Timer(timer)
	}
	index, err := a.catalog.ReportMetrics(ctx, c.Read, c.Warehouse, c.Identifier(), report)
	if err != nil {
		return nil, err
	}
	return serve.NoContent(index), nil
}
