package cluster

import (
	"testing"
)

func TestQuorumArithmetic(t *testing.T) {
	t.Parallel()
	ids := func(n int) []string { return []string{"n1", "n2", "n3", "n4", "n5", "n6"}[:n] }
	for _, tc := range []struct {
		voters, answering []string
		loss              string // of n1
		gain              string // of new
	}{
		{ids(1), ids(1), "removing n1 would leave no voter: it is the only one", ""},
		{ids(2), ids(2), "", ""},
		{ids(3), ids(3), "", ""},
		{ids(3), ids(2), "3 voters, 2 answer: removing n1 would leave 2 voters of which 1 answers, and 2 are needed for a quorum", ""},
		{ids(3), []string{"n2", "n3"}, "", ""},
		{ids(4), ids(3), "", ""},
		{ids(5), ids(3), "5 voters, 3 answer: removing n1 would leave 4 voters of which 2 answer, and 3 are needed for a quorum", ""},
		{ids(5), ids(4), "", ""},
		{ids(3), ids(1), "3 voters, 1 answers: removing n1 would leave 2 voters of which 0 answer, and 2 are needed for a quorum",
			"3 voters, 1 answers: promoting new would make 4 voters of which 2 answer, and 3 are needed for a quorum"},
	} {
		want := tc.loss
		if got := lossOf("removing n1", "n1", tc.voters, tc.answering); got != want {
			t.Errorf("%d voters, %v answer: %q, want %q", len(tc.voters), tc.answering, got, want)
		}
		if got := gainOf("new", tc.voters, tc.answering); got != tc.gain {
			t.Errorf("%d voters, %v answer: %q, want %q", len(tc.voters), tc.answering, got, tc.gain)
		}
	}
	for voters, want := range map[int]int{1: 0, 2: 0, 3: 1, 4: 1, 5: 2} {
		if got := tolerance(voters, voters); got != want {
			t.Errorf("%d voters bear the loss of %d, want %d", voters, got, want)
		}
	}
	if got := tolerance(3, 1); got != 0 {
		t.Errorf("without a quorum: %d", got)
	}
}
