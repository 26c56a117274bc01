package client_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/api/client"
)

func TestParseName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]client.Name{
		"a":                 {"a"},
		"a.b.c":             {"a", "b", "c"},
		`a."b.c".t`:         {"a", "b.c", "t"},
		`"a"."b"`:           {"a", "b"},
		`"say ""hi"""`:      {`say "hi"`},
		`".".".."`:          {".", ".."},
		"old one.t":         {"old one", "t"},
		"日本.t":              {"日本", "t"},
		`"a.b".c."d""".e f`: {"a.b", "c", `d"`, "e f"},
	} {
		got, err := client.ParseName(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	for text, says := range map[string]string{
		"": "empty level", ".": "empty level", "a.": "empty level", ".a": "empty level", "a..b": "empty level", `""`: "empty level",
		`a."b`: "not closed", `"`: "not closed", `"""`: "not closed", `"a"b`: "next dot", `a"b"`: "whole level", `it"s.t`: "whole level",
	} {
		if got, err := client.ParseName(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

func TestNamesComeBack(t *testing.T) {
	t.Parallel()
	level := rapid.StringMatching(`[a."' /+%é\x00]{1,6}`)
	rapid.Check(t, func(t *rapid.T) {
		name := client.Name(rapid.SliceOfN(level, 1, 5).Draw(t, "name"))
		got, err := client.ParseName(name.String())
		if err != nil || !slices.Equal(got, name) {
			t.Fatalf("%q is written %s and read as %q, %v", []string(name), name, []string(got), err)
		}
	})
}
