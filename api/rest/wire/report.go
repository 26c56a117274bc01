package wire

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/floeberg/floeberg/api/jsonbody"
)

// The kinds of reports.
const (
	ScanReport   = "scan-report"
	CommitReport = "commit-report"
)

// Report is what a client tells of a scan or a commit.
type Report struct {
	Kind       string
	SnapshotID int64
	Operation  string // of a commit
	Counters   map[string]int64
	Timers     map[string]Timer
}

// Timer is how often something was done and how long that took together.
type Timer struct {
	Count int64
	Total time.Duration
}

type rawReport struct {
	Kind           *string               `json:"report-type"`
	TableName      *string               `json:"table-name"`
	SnapshotID     *jsonbody.Integer     `json:"snapshot-id"`
	Filter         json.RawMessage       `json:"filter"`
	SchemaID       *jsonbody.Integer     `json:"schema-id"`
	FieldIDs       *[]jsonbody.Integer   `json:"projected-field-ids"`
	FieldNames     *[]string             `json:"projected-field-names"`
	SequenceNumber *jsonbody.Integer     `json:"sequence-number"`
	Operation      *string               `json:"operation"`
	Metrics        *map[string]rawMetric `json:"metrics"`
	Metadata       map[string]string     `json:"metadata"`
}

// rawMetric is a counter or a timer.
type rawMetric struct {
	Unit     *string           `json:"unit"`
	Value    *jsonbody.Integer `json:"value"`
	TimeUnit *string           `json:"time-unit"`
	Count    *jsonbody.Integer `json:"count"`
	Total    *jsonbody.Integer `json:"total-duration"`
}

// ParseReport reads the body of a report.
func ParseReport(body []byte) (*Report, error) {
	var raw rawReport
	if err := jsonbody.Decode(body, &raw); err != nil {
		return nil, err
	}
	if raw.Kind == nil {
		return nil, jsonbody.Fault("report-type", "is missing")
	}
	type field struct {
		name  string
		given bool
	}
	required := []field{{"table-name", raw.TableName != nil}, {"snapshot-id", raw.SnapshotID != nil}}
	switch *raw.Kind {
	case ScanReport:
		required = append(required,
			field{"filter", jsonbody.Present(raw.Filter) != nil}, field{"schema-id", raw.SchemaID != nil},
			field{"projected-field-ids", raw.FieldIDs != nil}, field{"projected-field-names", raw.FieldNames != nil})
	case CommitReport:
		required = append(required, field{"sequence-number", raw.SequenceNumber != nil}, field{"operation", raw.Operation != nil})
	default:
		return nil, jsonbody.Fault("report-type", "must be %s or %s", ScanReport, CommitReport)
	}
	for _, f := range append(required, field{"metrics", raw.Metrics != nil}) {
		if !f.given {
			return nil, jsonbody.Fault(f.name, "is missing")
		}
	}
	out := &Report{Kind: *raw.Kind, SnapshotID: int64(*raw.SnapshotID), Counters: map[string]int64{}, Timers: map[string]Timer{}}
	if raw.Operation != nil {
		out.Operation = *raw.Operation
	}
	for name, m := range *raw.Metrics {
		if err := out.add("metrics."+name, name, m); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *Report) add(field, name string, m rawMetric) error {
	switch {
	case m.Unit != nil && m.Value != nil:
		if *m.Value < 0 {
			return jsonbody.Fault(field+".value", "must not be negative")
		}
		r.Counters[name] = int64(*m.Value)
		return nil
	case m.TimeUnit != nil && m.Count != nil && m.Total != nil:
		unit, ok := timeUnits[strings.ToLower(*m.TimeUnit)]
		if !ok {
			return jsonbody.Fault(field+".time-unit", "must be a unit of time such as nanoseconds, not %q", *m.TimeUnit)
		}
		if *m.Count < 0 || *m.Total < 0 {
			return jsonbody.Fault(field, "must not be negative")
		}
		total := time.Duration(math.MaxInt64)
		if int64(*m.Total) <= int64(total/unit) {
			total = time.Duration(*m.Total) * unit
		}
		r.Timers[name] = Timer{Count: int64(*m.Count), Total: total}
		return nil
	}
	return jsonbody.Fault(field, "must be a counter (unit, value) or a timer (time-unit, count, total-duration)")
}

var timeUnits = map[string]time.Duration{
	"nanoseconds": time.Nanosecond, "microseconds": time.Microsecond, "milliseconds": time.Millisecond,
	"seconds": time.Second, "minutes": time.Minute, "hours": time.Hour, "days": 24 * time.Hour,
}
