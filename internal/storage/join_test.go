package storage_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/internal/storage"
)

// The encoding is stored in locations for good: these must never change.
func TestJoinIsStable(t *testing.T) {
	t.Parallel()
	const root = "s3://bucket/wh"
	for _, tc := range []struct {
		names []string
		want  string
	}{
		{nil, "s3://bucket/wh"},
		{[]string{"sales", "orders_2026-v1.0"}, "s3://bucket/wh/sales/orders_2026-v1.0"},
		{[]string{"a/b"}, "s3://bucket/wh/a~2Fb"},
		{[]string{"a", "b"}, "s3://bucket/wh/a/b"},
		{[]string{".."}, "s3://bucket/wh/~2E~2E"},
		{[]string{"."}, "s3://bucket/wh/~2E"},
		{[]string{"..."}, "s3://bucket/wh/..."},
		{[]string{""}, "s3://bucket/wh/~~"},
		{[]string{"~"}, "s3://bucket/wh/~7E"},
		{[]string{"~2E"}, "s3://bucket/wh/~7E2E"},
		{[]string{"a b%20c"}, "s3://bucket/wh/a~20b~2520c"},
		{[]string{"*?#$\\"}, "s3://bucket/wh/~2A~3F~23~24~5C"},
		{[]string{"é"}, "s3://bucket/wh/~C3~A9"},
		{[]string{"\x00\xff"}, "s3://bucket/wh/~00~FF"},
		{[]string{strings.Repeat("n", 255)}, "s3://bucket/wh/" + strings.Repeat("n", 255)},
		{
			[]string{strings.Repeat("n", 256)},
			"s3://bucket/wh/" + strings.Repeat("n", 189) + "~~342aaaf5a0fcb18cba413f00ff46ffc9bcaa496b545e0998a81056cc7bec6aea",
		},
	} {
		if got := storage.Join(root, tc.names...); got != tc.want {
			t.Errorf("Join(%q) = %q, want %q", tc.names, got, tc.want)
		}
	}
	if got, want := storage.Join("file:///", "a", "b"), "file:///a/b"; got != want {
		t.Errorf("Join below the root of the file system = %q, want %q", got, want)
	}
}

func TestJoinKeepsNamesInTheirPlace(t *testing.T) {
	t.Parallel()
	name := rapid.OneOf(
		rapid.String(),
		rapid.SampledFrom([]string{"", ".", "..", "~", "~~", "/", "a/b", "%2F", "~2F", strings.Repeat("/", 100), strings.Repeat("x", 300)}),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 300), func(b []byte) string { return string(b) }),
	)
	names := rapid.SliceOfN(name, 1, 3)
	rapid.Check(t, func(t *rapid.T) {
		root := rapid.SampledFrom([]string{"s3://bucket", "s3://bucket/wh", "file:///wh", "file:///"}).Draw(t, "root")
		a, b := names.Draw(t, "a"), names.Draw(t, "b")
		inA, inB := storage.Join(root, a...), storage.Join(root, b...)
		if canonical, err := storage.Canonical(inA); err != nil || canonical != inA {
			t.Fatalf("Join(%q) = %q is not canonical: %q, %v", a, inA, canonical, err)
		}
		if !storage.Within(root, inA) || len(storage.Ancestors(root, inA)) != len(a)-1 {
			t.Fatalf("Join(%q) = %q is not %d levels below %q", a, inA, len(a), root)
		}
		if (inA == inB) != slices.Equal(a, b) {
			t.Fatalf("Join(%q) = %q, Join(%q) = %q", a, inA, b, inB)
		}
	})
}

func FuzzJoin(f *testing.F) {
	for _, seed := range []string{"", ".", "..", "a/b", "~2F", "\xff", strings.Repeat("é", 200)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		const root = "file:///wh"
		location := storage.Join(root, name, "metadata")
		if canonical, err := storage.Canonical(location); err != nil || canonical != location {
			t.Fatalf("Join(%q) = %q is not canonical: %v", name, location, err)
		}
		if !storage.Within(root, location) || len(storage.Ancestors(root, location)) != 1 {
			t.Fatalf("Join(%q) = %q is not in its place", name, location)
		}
	})
}
