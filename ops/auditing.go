package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// AuditFigure is how it stands with a sink of the audit log.
type AuditFigure struct {
	Sink    string
	Up      bool
	Waiting int
}

// AuditMetrics are the series of the audit log.
type AuditMetrics struct {
	records  *prometheus.CounterVec
	lost     *prometheus.CounterVec
	refused  prometheus.Counter
	writes   *prometheus.HistogramVec
	failures *prometheus.CounterVec
}

// WatchAudit adds the series of the audit log; ask is asked at each scrape. It is
// called at most once.
func (m *Metrics) WatchAudit(ask func() []AuditFigure) (*AuditMetrics, error) {
	a := &AuditMetrics{
		records:  counterVec("audit_records_total", "Records of the audit log.", "event"),
		lost:     counterVec("audit_lost_records_total", "Records that a sink of the audit log did not take.", "sink"),
		refused:  counter("audit_refused_changes_total", "Changes that were not let through because they could not be put on record."),
		writes:   histogramVec("audit_write_duration_seconds", "Time of writes to sinks of the audit log.", "sink"),
		failures: counterVec("audit_write_failures_total", "Writes to sinks of the audit log that failed.", "sink"),
	}
	for _, c := range []prometheus.Collector{a.records, a.lost, a.refused, a.writes, a.failures, &auditCollector{ask}} {
		if err := m.registry.Register(c); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Recorded tells of a record; events are few and fixed.
func (a *AuditMetrics) Recorded(event string) { a.records.WithLabelValues(event).Inc() }

// Lost tells of records that a sink did not take.
func (a *AuditMetrics) Lost(sink string, n uint64) { a.lost.WithLabelValues(sink).Add(float64(n)) }

// Refused tells of a change that was not let through.
func (a *AuditMetrics) Refused() { a.refused.Inc() }

// Wrote tells of an attempt to write to a sink.
func (a *AuditMetrics) Wrote(sink string, took time.Duration, failed bool) {
	a.writes.WithLabelValues(sink).Observe(took.Seconds())
	if failed {
		a.failures.WithLabelValues(sink).Inc()
	}
}

var (
	auditSinkUp      = describe("audit_sink_up", "1 where a sink of the audit log takes records, 0 where it does not.", "sink")
	auditSinkWaiting = describe("audit_sink_waiting_records", "Records that wait for a sink of the audit log.", "sink")
)

type auditCollector struct{ ask func() []AuditFigure }

// Describe implements prometheus.Collector.
func (c *auditCollector) Describe(out chan<- *prometheus.Desc) {
	out <- auditSinkUp
	out <- auditSinkWaiting
}

// Collect implements prometheus.Collector.
func (c *auditCollector) Collect(out chan<- prometheus.Metric) {
	for _, f := range c.ask() {
		up := 0.0
		if f.Up {
			up = 1
		}
		out <- constant(auditSinkUp, up, f.Sink)
		out <- constant(auditSinkWaiting, float64(f.Waiting), f.Sink)
	}
}
