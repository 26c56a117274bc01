package policy_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/internal/policy"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ older, newer, want string }{
		"equal":      {"a\nb\n", "a\nb\n", ""},
		"from none":  {"", "a\nb\n", "--- old\n+++ new\n@@ -0,0 +1,2 @@\n+a\n+b\n"},
		"to none":    {"a\n", "", "--- old\n+++ new\n@@ -1 +0,0 @@\n-a\n"},
		"one line":   {"a\nb\nc\n", "a\nB\nc\n", "--- old\n+++ new\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
		"no newline": {"a", "b", "--- old\n+++ new\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"},
		"two places": {
			"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n", "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n",
			"--- old\n+++ new\n@@ -1,3 +1,4 @@\n+0\n 1\n 2\n 3\n@@ -7,4 +8,3 @@\n 7\n 8\n 9\n-10\n",
		},
		"near places": {
			"x\n1\n2\n3\n4\n5\n6\ny\n", "X\n1\n2\n3\n4\n5\n6\nY\n",
			"--- old\n+++ new\n@@ -1,8 +1,8 @@\n-x\n+X\n 1\n 2\n 3\n 4\n 5\n 6\n-y\n+Y\n",
		},
	} {
		if diff := cmp.Diff(tc.want, policy.Diff("old", tc.older, "new", tc.newer)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// What it says of any two texts makes the one of the other.
func TestDiffLeadsFromOneToTheOther(t *testing.T) {
	t.Parallel()
	lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"}), 0, 40)
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) string {
			all := lines.Draw(t, name)
			if len(all) == 0 {
				return ""
			}
			return strings.Join(all, "\n") + rapid.SampledFrom([]string{"", "\n"}).Draw(t, "end of "+name)
		}
		older, newer := text("old"), text("new")
		diff := policy.Diff("old", older, "new", newer)
		if got := patched(t, older, diff); got != newer {
			t.Fatalf("%q becomes %q, by\n%s", older, got, diff)
		}
	})
}

var hunkHeader = regexp.MustCompile(`^@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@\n$`)

// patched applies a difference, and insists on each line that it says is there.
func patched(t *rapid.T, text, diff string) string {
	if diff == "" {
		return text
	}
	older := slices.Collect(strings.Lines(text))
	rows := slices.Collect(strings.Lines(diff))[2:]
	var out strings.Builder
	at := 0
	for i, row := range rows {
		if m := hunkHeader.FindStringSubmatch(row); m != nil {
			from, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			if m[2] != "0" {
				from-- // of an empty part the line before it is named
			}
			for ; at < from; at++ {
				out.WriteString(older[at])
			}
			continue
		}
		line := row[1:]
		if i+1 < len(rows) && rows[i+1][0] == '\\' {
			line = strings.TrimSuffix(line, "\n")
		}
		switch row[0] {
		case '\\':
			continue
		case ' ', '-':
			if at == len(older) || older[at] != line {
				t.Fatalf("line %d is not %q", at+1, line)
			}
			at++
		}
		if row[0] != '-' {
			out.WriteString(line)
		}
	}
	return out.String() + strings.Join(older[at:], "")
}
