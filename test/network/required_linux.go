package network

import (
	"os"
	"testing"
)

// Start makes a network for the time of a test. Where that is not possible the
// test is skipped, or fails where FLOEBERG_TOOLS_REQUIRED is set.
func Start(t testing.TB, hosts int) *Network {
	t.Helper()
	n, err := New(hosts)
	if err != nil {
		if os.Getenv("FLOEBERG_TOOLS_REQUIRED") != "" {
			t.Fatalf("this test needs a network of its own: %v", err)
		}
		t.Skipf("this test needs a network of its own: %v", err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("taking the network away: %v", err)
		}
	})
	return n
}
