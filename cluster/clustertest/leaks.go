package clustertest

import (
	"testing"

	"go.uber.org/goleak"
)

// VerifyTestMain runs a package's tests and fails where goroutines of nodes that
// were stopped are left, but for those that our libraries don't wait for.
func VerifyTestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// memberlist does not wait for probes under way; they end with their time-out.
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"),
		goleak.IgnoreTopFunction("github.com/hashicorp/memberlist.(*Memberlist).handleIndirectPing.func2"),
		// Raft leaves some of what it finds when it stops without an answer.
		goleak.IgnoreTopFunction("github.com/hashicorp/raft.(*deferError).Error"),
		// What starts programs for tests lives as long as they do.
		goleak.IgnoreTopFunction("github.com/floeberg/floeberg/test/process.init.func1.1"),
	)
}
