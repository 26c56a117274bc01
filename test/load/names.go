package load

import (
	"fmt"
	"math/rand/v2"
	"sync"
)

// names are few, so that workers meet. One whose fate is not known is given up
// for a new one: a history is hard to judge where much is unknown.
type names struct {
	mu         sync.Mutex
	generation []int
}

func (n *names) reset(count int) { n.generation = make([]int, max(0, count)) }

// any gives a name, or "" where there are none.
func (n *names) any() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.generation) == 0 {
		return ""
	}
	i := rand.IntN(len(n.generation))
	return fmt.Sprintf("x%d_%d", i, n.generation[i])
}

func (n *names) giveUp(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, g := range n.generation {
		if name == fmt.Sprintf("x%d_%d", i, g) {
			n.generation[i]++
		}
	}
}
