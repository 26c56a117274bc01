package cluster_test

import (
	"context"
	"fmt"

	"github.com/floeberg/floeberg/test/cluster"
)

// gaveBack waits until a node holds no more than it did before. Connections that
// clients keep for their next requests take a goroutine each.
func gaveBack(ctx context.Context, n *cluster.Node, before cluster.Metrics) error {
	const (
		goroutines, memory, connections = "go_goroutines", "go_memstats_alloc_bytes", "floeberg_active_connections"
		moreGoroutines, moreMemory      = 25, 96 << 20
	)
	return cluster.Await(ctx, "the node to give back what it took", func(ctx context.Context) error {
		m, err := n.Metrics(ctx)
		if err != nil {
			return err
		}
		if m[goroutines]-m[connections] > before[goroutines]-before[connections]+moreGoroutines || m[memory] > before[memory]+moreMemory {
			return fmt.Errorf("%v goroutines, %v bytes, %v connections; before: %v, %v, %v",
				m[goroutines], m[memory], m[connections], before[goroutines], before[memory], before[connections])
		}
		return nil
	})
}
