package load

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// LongestGap is the longest time without an acknowledged change between two
// moments: all of it where there was none.
func (l *Load) LongestGap(from, to time.Time) time.Duration {
	at := l.History.Written(from, to)
	at = append(at, from, to)
	slices.SortFunc(at, time.Time.Compare)
	var longest time.Duration
	for i := 1; i < len(at); i++ {
		longest = max(longest, at[i].Sub(at[i-1]))
	}
	return longest.Round(time.Millisecond)
}

// Gaps are the longest times without an acknowledged change after each of some
// moments until the next one; the last one's until the end.
func (l *Load) Gaps(moments []time.Time, end time.Time) Gaps {
	gaps := make(Gaps, len(moments))
	for i, from := range moments {
		to := end
		if i+1 < len(moments) {
			to = moments[i+1]
		}
		gaps[i] = l.LongestGap(from, to)
	}
	return gaps
}

// Gaps are times without an acknowledged change.
type Gaps []time.Duration

// P50 is what half of them are not longer than; Worst is the longest.
func (g Gaps) P50() time.Duration {
	if len(g) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(g))
	return sorted[(len(sorted)-1)/2]
}

// Worst is the longest one.
func (g Gaps) Worst() time.Duration {
	if len(g) == 0 {
		return 0
	}
	return slices.Max(g)
}

// enough is how many acknowledged changes show that a cluster works again.
const enough = 20

// AwaitWrites waits until changes were acknowledged after a moment.
func (l *Load) AwaitWrites(ctx context.Context, after time.Time) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		written := len(l.History.Written(after, time.Now()))
		if written >= enough {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited for %d changes, %d were acknowledged: %w", enough, written, ctx.Err())
		case <-tick.C:
		}
	}
}
