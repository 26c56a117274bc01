package ops_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/floeberg/floeberg/ops"
)

func TestTailKeepsTheLastLines(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	tail := ops.NewTail(&all, 100)
	for i := range 1000 {
		if n, err := fmt.Fprintf(tail, "line %03d\n", i); n != 9 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if all.Len() != 9000 {
		t.Errorf("%d bytes were passed on", all.Len())
	}
	if got := string(tail.Bytes()); len(got) != 99 || !strings.HasPrefix(got, "line 989\n") || !strings.HasSuffix(got, "line 999\n") {
		t.Errorf("kept %q", got)
	}
	if _, err := tail.Write([]byte(strings.Repeat("x", 500))); err != nil {
		t.Fatal(err)
	}
	if got := tail.Bytes(); len(got) != 100 {
		t.Errorf("kept %d bytes", len(got))
	}
}

func TestTailIsWrittenAndReadAtOnce(t *testing.T) {
	t.Parallel()
	tail := ops.NewTail(&strings.Builder{}, 64)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 1000 {
			_, _ = tail.Write([]byte("one line\n"))
		}
	})
	wg.Go(func() {
		for range 1000 {
			if len(tail.Bytes()) > 64 {
				t.Error("more is kept than may be")
			}
		}
	})
	wg.Wait()
}
