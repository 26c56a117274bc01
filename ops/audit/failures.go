package audit

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// failureWindow is how long failures of one kind are taken together.
	failureWindow = time.Minute
	// maxSingle is how many of an address, and for a reason, are written one by one
	// in that time, maxSingles how many of all addresses.
	maxSingle, maxSingles = 10, 600
	// maxSources bounds the addresses that are told apart.
	maxSources = 1024
)

// failures takes failures to tell who asks together where they are many: strangers
// can make as many as they like, and must not push out what else is on record.
type failures struct {
	mu      sync.Mutex
	until   time.Time
	singles int
	seen    map[failureKind]*repeated
}

type failureKind struct{ source, reason string }

// repeated is failures of a kind. The last of them stands for those that were not
// written.
type repeated struct {
	singles int
	last    Record
}

func newFailures() *failures { return &failures{seen: make(map[failureKind]*repeated)} }

// single tells whether a failure is to be written by itself.
func (f *failures) single(r Record, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.until.IsZero() {
		f.until = now.Add(failureWindow)
	}
	kind := failureKind{network(r.Source), r.Reason}
	seen := f.seen[kind]
	if seen == nil && len(f.seen) >= maxSources {
		kind.source = "" // all others
		seen = f.seen[kind]
	}
	if seen == nil {
		seen = &repeated{}
		f.seen[kind] = seen
	}
	if seen.singles < maxSingle && f.singles < maxSingles {
		seen.singles++
		f.singles++
		return true
	}
	count := seen.last.Count + 1
	if seen.last = r; kind.source == "" {
		seen.last.Source = ""
	}
	seen.last.Count, seen.last.RequestID = count, ""
	return false
}

// over is what was not written in the time that has passed, if it has.
func (f *failures) over(now time.Time) []Record {
	f.mu.Lock()
	passed := !f.until.IsZero() && !now.Before(f.until)
	f.mu.Unlock()
	if !passed {
		return nil
	}
	return f.all()
}

// all is what was not written, and begins anew.
func (f *failures) all() []Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Record
	for _, seen := range f.seen {
		if seen.last.Count > 0 {
			out = append(out, seen.last)
		}
	}
	clear(f.seen)
	f.until, f.singles = time.Time{}, 0
	return out
}

// network is whose address it is: who has one of IPv6 has as many as there are
// addresses of IPv4, and more.
func network(source string) string {
	address, err := netip.ParseAddr(source)
	if err != nil {
		return source
	}
	address = address.Unmap().WithZone("")
	if address.Is4() {
		return address.String()
	}
	prefix, err := address.Prefix(64)
	if err != nil {
		return source
	}
	return prefix.String()
}
