package newest_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/floeberg/floeberg/internal/newest"
)

func newCache(t *testing.T, bytes int64) *newest.Cache[string] {
	t.Helper()
	c, err := newest.New[string](bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func expect(t *testing.T, c *newest.Cache[string], name string, revision uint64, want string) {
	t.Helper()
	got, ok := c.Get(name, revision)
	if got != want || ok != (want != "") {
		t.Errorf("%s at %d is %q, %t; want %q", name, revision, got, ok, want)
	}
}

func TestTheNewestIsKept(t *testing.T) {
	t.Parallel()
	c := newCache(t, 1<<20)
	c.Keep("a", 3, "three", 5)
	c.Keep("b", 9, "nine", 4)
	expect(t, c, "a", 3, "three")
	expect(t, c, "a", 2, "")
	expect(t, c, "c", 3, "")
	c.Keep("a", 2, "two", 3) // from an old state
	expect(t, c, "a", 2, "")
	expect(t, c, "a", 3, "three")
	c.Keep("a", 4, "four", 4)
	expect(t, c, "a", 3, "")
	expect(t, c, "a", 4, "four")
	expect(t, c, "b", 9, "nine")
}

func TestNewGenerationsTakeNoMoreRoom(t *testing.T) {
	t.Parallel()
	c := newCache(t, 1<<30)
	for revision := range uint64(1000) {
		c.Keep("a", revision+1, "x", 10_000)
	}
	if got := c.Bytes(); got > 20_000 {
		t.Errorf("one thing of 10,000 bytes takes %d", got)
	}
}

func TestTheBoundHolds(t *testing.T) {
	t.Parallel()
	c := newCache(t, 100_000)
	for i := range 1000 {
		c.Keep(fmt.Sprint(i), 1, "x", 10_000)
	}
	if got := c.Bytes(); got > 100_000 {
		t.Errorf("kept are %d bytes of at most 100,000", got)
	}
}

// Whatever order many put generations in, the newest stays.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	c := newCache(t, 1<<20)
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := range 500 {
				revision := uint64(i*8+w) + 1
				c.Keep("a", revision, fmt.Sprint(revision), 10)
			}
		})
	}
	group.Wait()
	expect(t, c, "a", 4000, "4000")
}
