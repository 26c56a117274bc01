package cluster

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Metrics are the series of one scrape, by name with labels as Prometheus
// prints them: `floeberg_raft_state{state="Leader"}`.
type Metrics map[string]float64

// Metrics scrapes the node.
func (n *Node) Metrics(ctx context.Context) (Metrics, error) {
	status, body, err := n.Get(ctx, "/metrics")
	if err != nil {
		return nil, fmt.Errorf("scraping %s: %w", n.ID, err)
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("scraping %s: status %d", n.ID, status)
	}
	m := make(Metrics)
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		if i < 0 {
			continue
		}
		value, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("scraping %s: line %q: %w", n.ID, line, err)
		}
		m[line[:i]] = value
	}
	return m, lines.Err()
}

// Sum adds up the series of one name, whatever their labels, whose labels hold
// all the given `name="value"` pairs.
func (m Metrics) Sum(name string, labels ...string) float64 {
	var sum float64
series:
	for key, value := range m {
		base, rest, _ := strings.Cut(key, "{")
		if base != name {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(rest, label) {
				continue series
			}
		}
		sum += value
	}
	return sum
}
