package ops

import "time"

// ScanFigures are what a client reports of a scan. What it does not tell is nil.
type ScanFigures struct {
	Planning  *time.Duration
	DataFiles *int64
	FileBytes *int64
}

// CommitFigures are what a client reports of a commit. What it does not tell is nil.
type CommitFigures struct {
	Duration *time.Duration
	Attempts *int64
}

// ScanReported tells of a report about a scan. Tables are no labels: they are
// without number.
func (m *Metrics) ScanReported(f ScanFigures) {
	m.tableReports.WithLabelValues("scan").Inc()
	if f.Planning != nil {
		m.scanPlanning.Observe(f.Planning.Seconds())
	}
	if f.DataFiles != nil {
		m.scanFiles.Observe(float64(*f.DataFiles))
	}
	if f.FileBytes != nil {
		m.scanBytes.Observe(float64(*f.FileBytes))
	}
}

// CommitReported tells of a report about a commit.
func (m *Metrics) CommitReported(f CommitFigures) {
	m.tableReports.WithLabelValues("commit").Inc()
	if f.Duration != nil {
		m.commitDuration.Observe(f.Duration.Seconds())
	}
	if f.Attempts != nil {
		m.commitAttempts.Observe(float64(*f.Attempts))
	}
}
