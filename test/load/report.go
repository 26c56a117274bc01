package load

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Report is what became of the requests of a load.
type Report struct {
	// Requests is how many there were, Codes how many by code.
	Requests int
	Codes    map[string]int
	// Failed are answers of a cluster in trouble, Wrong those that no cluster may
	// ever give.
	Failed, Wrong []error
	// Slowest is the longest time to an answer.
	Slowest time.Duration
}

// Report is what became of the requests so far.
func (l *Load) Report() Report {
	a := &l.answers
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.report
	r.Codes = maps.Clone(r.Codes)
	r.Failed, r.Wrong = slices.Clone(r.Failed), slices.Clone(r.Wrong)
	return r
}

// String is one line: how many, by code.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests, slowest %s:", r.Requests, r.Slowest.Round(time.Millisecond))
	for _, code := range slices.Sorted(maps.Keys(r.Codes)) {
		fmt.Fprintf(&b, " %d× %s,", r.Codes[code], code)
	}
	return strings.TrimSuffix(b.String(), ",")
}

// answers are counted while workers work.
type answers struct {
	mu     sync.Mutex
	report Report
}

func (a *answers) add(got answer, said reading) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := &a.report
	if r.Codes == nil {
		r.Codes = map[string]int{}
	}
	r.Requests++
	r.Codes[said.code]++
	r.Slowest = max(r.Slowest, got.op.Returned.Sub(got.op.Called))
	switch {
	case said.wrong != "":
		r.Wrong = append(r.Wrong, fmt.Errorf("%s: %s", said.wrong, got))
	case !said.good:
		r.Failed = append(r.Failed, errors.New(got.String()))
	}
}

// last is the newest answer that was not good.
func (a *answers) last() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if all := append(a.report.Failed, a.report.Wrong...); len(all) > 0 {
		return all[len(all)-1]
	}
	return errors.New("no answer was bad")
}
