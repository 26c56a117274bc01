package conformance_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// step is what a client saw in one step of its job.
type step struct {
	name string
	got  any
}

// UnmarshalJSON reads a list of the name and what was seen.
func (s *step) UnmarshalJSON(raw []byte) error {
	pair := []any{&s.name, &s.got}
	if err := json.Unmarshal(raw, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("a step of %d parts", len(pair))
	}
	return nil
}

// difference is a step in which floeberg means to differ from the reference
// server.
type difference struct {
	why string
	// want is what floeberg gives, as JSON.
	want string
}

// runJob runs a program of Python with a file of configuration.
func runJob(t *testing.T, python, program string, config map[string]any) {
	t.Helper()
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, program, file)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=steps")
	printed, err := cmd.CombinedOutput()
	t.Logf("%s printed:\n%s", program, printed)
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
}

// readSteps reads what a job wrote: the steps of each catalog.
func readSteps(t *testing.T, file string) map[string][]step {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var steps map[string][]step
	if err := json.Unmarshal(raw, &steps); err != nil {
		t.Fatal(err)
	}
	return steps
}

// compare fails the test for each step that was not alike and is not listed, and
// for each listed one that no longer differs.
func compare(t *testing.T, reference, floeberg []step, listed map[string]difference) {
	t.Helper()
	expected := byName(t, reference)
	for name, d := range listed {
		theirs, ok := expected[name]
		if !ok {
			t.Errorf("a difference is listed for %q, which is no step", name)
			continue
		}
		var ours any
		if err := json.Unmarshal([]byte(d.want), &ours); err != nil {
			t.Fatalf("the difference listed for %q: %v", name, err)
		}
		if cmp.Equal(theirs, ours) {
			t.Errorf("%s: listed as a difference (%s), and the reference server does the same", name, d.why)
		}
		expected[name] = ours
	}
	got := byName(t, floeberg)
	for _, s := range reference {
		if _, ok := got[s.name]; !ok {
			t.Errorf("%s was not reached with floeberg", s.name)
		}
	}
	for _, s := range floeberg {
		want, ok := expected[s.name]
		if !ok {
			t.Errorf("%s was seen with floeberg only: %v", s.name, s.got)
		} else if diff := cmp.Diff(want, s.got); diff != "" {
			t.Errorf("%s (-want +floeberg):\n%s", s.name, diff)
		}
	}
	t.Logf("%d steps, %d of them listed as differences", len(expected), len(listed))
}

// byName are the steps of a job, of which there must be some.
func byName(t *testing.T, steps []step) map[string]any {
	t.Helper()
	if len(steps) == 0 {
		t.Fatal("the job saw nothing")
	}
	seen := map[string]any{}
	for _, s := range steps {
		if _, twice := seen[s.name]; twice {
			t.Errorf("two steps are called %q", s.name)
		}
		seen[s.name] = s.got
	}
	return seen
}
