package clock_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/clock"
	"github.com/floeberg/floeberg/test/process"
)

const child = "FLOEBERG_TEST_CLOCK_CHILD"

// TestMain is also the process whose clock is set: it says what time it is, by
// both clocks, for every line that it reads.
func TestMain(m *testing.M) {
	if os.Getenv(child) == "" {
		os.Exit(m.Run())
	}
	began := time.Now()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		now := time.Now()
		fmt.Println(now.Unix(), now.Sub(began).Milliseconds())
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 && os.Getenv("FLOEBERG_TOOLS_REQUIRED") == "" {
		t.Skip("the memory of another process is root's to write")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), child+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := process.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the process with the other clock: %v", err)
		}
	})
	lines := bufio.NewScanner(out)
	says := func(want time.Duration) {
		t.Helper()
		if _, err := fmt.Fprintln(in); err != nil || !lines.Scan() {
			t.Fatal(err, lines.Err())
		}
		wall, monotonic, _ := strings.Cut(lines.Text(), " ")
		seconds, err := strconv.ParseInt(wall, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if off := time.Until(time.Unix(seconds, 0)) - want; off.Abs() > time.Minute {
			t.Errorf("want a clock that is off by %s, it is off by %s more", want, off)
		}
		if ms, err := strconv.ParseInt(monotonic, 10, 64); err != nil || time.Duration(ms)*time.Millisecond > time.Since(began) {
			t.Errorf("the monotonic clock was set too: %s ms of %s (%v)", monotonic, time.Since(began), err)
		}
	}
	says(0)
	c, err := clock.Take(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	says(0)
	for _, offset := range []time.Duration{3 * time.Hour, -72 * time.Hour, 0} {
		if err := c.Set(offset); err != nil {
			t.Fatal(err)
		}
		says(offset)
	}
	if _, err := clock.Take(cmd.Process.Pid); err == nil {
		t.Error("a clock was taken twice")
	}
}
