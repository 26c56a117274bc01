package ops

import "github.com/prometheus/client_golang/prometheus"

// wallSeries are what strangers were refused before anything was done for them.
type wallSeries struct {
	connections *prometheus.CounterVec
	rates       *prometheus.CounterVec
}

func newWallSeries() wallSeries {
	return wallSeries{
		connections: counterVec("connections_refused_total", "HTTP connections that were closed at once because there were too many.", "limit"),
		rates:       counterVec("rate_limited_total", "Requests that were refused because too many came before them.", "limit"),
	}
}

func (w wallSeries) all() []prometheus.Collector {
	return []prometheus.Collector{w.connections, w.rates}
}

// ConnectionRefused tells of a connection that was one too many; limits are few and
// fixed.
func (m *Metrics) ConnectionRefused(limit string) { m.walls.connections.WithLabelValues(limit).Inc() }

// RateLimited tells of a request that came too soon; limits are few and fixed.
func (m *Metrics) RateLimited(limit string) { m.walls.rates.WithLabelValues(limit).Inc() }
