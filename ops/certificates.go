package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// CertificateFigure is the time that a certificate has left.
type CertificateFigure struct {
	// Use tells which one it is; it is a label.
	Use string
	// Left is negative once its time is over.
	Left time.Duration
}

// CertificatesRead tells that the certificates of a use were read again. Where
// that failed, those that were in force stay.
func (m *Metrics) CertificatesRead(use string, ok bool) {
	result := "ok"
	if !ok {
		result = "failed"
	}
	m.certificateReloads.WithLabelValues(use, result).Inc()
}

var certificateExpiry = describe("certificate_expiry_seconds", "Time until a certificate of this node or its authority expires; negative once it has.", "use")

type certificateCollector struct{ ask func() []CertificateFigure }

// Describe implements prometheus.Collector.
func (c *certificateCollector) Describe(out chan<- *prometheus.Desc) { out <- certificateExpiry }

// Collect implements prometheus.Collector.
func (c *certificateCollector) Collect(out chan<- prometheus.Metric) {
	for _, f := range c.ask() {
		out <- constant(certificateExpiry, f.Left.Seconds(), f.Use)
	}
}
