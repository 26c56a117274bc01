package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is not a terminal gets a line for each phase and each tenth, however often
// is asked.
func TestByteProgressInLines(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := newByteProgress(&out)
	for range 3 {
		p.show("", 0, 0)
	}
	p.show("writing", 0, 0)
	p.show("writing", 1_500_000, 0)
	for done := range int64(101) {
		p.show("checking", done*20_000, 2_000_000)
	}
	p.end()
	want := []string{"waiting", "writing", "checking of 2.0 MB"}
	for _, done := range []string{"200.0 kB", "400.0 kB", "600.0 kB", "800.0 kB", "1.0 MB", "1.2 MB", "1.4 MB", "1.6 MB", "1.8 MB", "2.0 MB"} {
		want = append(want, "checking "+done+" of 2.0 MB")
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(out.String()), "\n")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
