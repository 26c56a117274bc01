package backup

import (
	"fmt"
	"time"
)

// Status is how it stands with a cluster's snapshots, as one node sees it.
type Status struct {
	// Store is where they are.
	Store string `json:"store"`
	// Newest is nil where there is none, or where the store did not say yet.
	Newest *Manifest `json:"newest"`
	// AgeSeconds is how old the newest is; 0 as long as nothing has changed since,
	// nil where there is none.
	AgeSeconds *float64 `json:"age_seconds"`
	// Writing tells that one is being written by this node.
	Writing bool `json:"writing"`
	// Failures is how many uploads of this node failed one after the other,
	// LastError what the last one said.
	Failures  int     `json:"failures"`
	LastError *string `json:"last_error"`
	// Warnings are what operators should look at.
	Warnings []string `json:"warnings"`
	// Hints are the same for who may be anybody: without names and places.
	Hints []string `json:"-"`
}

// overdue is how much older than the interval a snapshot gets while all is well:
// the next one has to be written first.
func (k *Keeper) overdue() time.Duration {
	return k.opts.Interval + max(k.opts.Interval/2, time.Minute)
}

// Status tells what this node knows. It asks nobody.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Status{Store: k.opts.Root, Newest: k.newest, Writing: k.writing, Failures: k.failures, Warnings: []string{}}
	warn := func(hint, detail string) {
		s.Hints = append(s.Hints, hint)
		s.Warnings = append(s.Warnings, hint+detail)
	}
	if k.failed != nil {
		text := k.failed.Error()
		s.LastError = &text
		warn("snapshots can't be written to the snapshot store", fmt.Sprintf(" (%d attempts): %s", k.failures, text))
	}
	if k.listFailed != nil {
		warn("the snapshot store can't be read", ": "+k.listFailed.Error())
	}
	switch {
	case k.newest != nil:
		age := time.Duration(0)
		if k.changed(k.newest) {
			age = max(k.opts.Now().Sub(k.newest.Time), 0)
		}
		seconds := age.Seconds()
		s.AgeSeconds = &seconds
		if age > k.overdue() {
			warn(fmt.Sprintf("the newest snapshot in the snapshot store is %s old", age.Round(time.Second)), "")
		}
	case k.listFailed == nil && !k.listed.IsZero() && time.Since(k.begun) > time.Minute:
		warn("there is no snapshot in the snapshot store yet", "")
	}
	if k.opts.Beside != nil {
		for _, hint := range k.opts.Beside() {
			warn(hint, "")
		}
	}
	return s
}
