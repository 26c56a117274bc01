package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/floeberg/floeberg/test/output"
)

// openTerminal makes a terminal: what is written to one end is read at the other.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// atTerminal runs a command with a person before it, who types an answer once
// there is a question, and gives all that the person sees.
func atTerminal(t *testing.T, answer string, args ...string) (code int, seen string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	person, program := openTerminal(t)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=yes")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	program.Close()
	screen := &output.Buffer{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		// It ends with an error: the other end is gone.
		_, _ = io.Copy(screen, person)
	}()
	if answer != "" {
		await(t, "the question", func() bool { return strings.Contains(screen.String(), "[y/N] ") })
		if _, err := person.WriteString(answer + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	// How it ended is in the state, also where the code is not 0.
	_ = cmd.Wait()
	<-read
	return cmd.ProcessState.ExitCode(), screen.String()
}

func TestAsksAPerson(t *testing.T) {
	t.Parallel()
	n := serveInProcess(t)
	n.spoil(t)
	args := []string{"table", "rebuild", "wrecks.changed", "--addr", n.url, "--key", testKey}
	code, seen := atTerminal(t, "no", args...)
	if code != exitFailed || !strings.Contains(seen, "Replace what the catalog has of wrecks.changed") || !strings.Contains(seen, "nothing was done") {
		t.Errorf("after a no: exit code %d, %q", code, seen)
	}
	if _, answer := request(t, testKey, http.MethodGet, n.url+"/v1/default/namespaces/wrecks/tables/changed", ""); !strings.Contains(answer, "nansen") {
		t.Errorf("it was done all the same: %s", answer)
	}
	if code, seen := atTerminal(t, "y", args...); code != exitDone || !strings.Contains(seen, "was rebuilt") {
		t.Errorf("after a yes: exit code %d, %q", code, seen)
	}
	if _, answer := request(t, testKey, http.MethodGet, n.url+"/v1/default/namespaces/wrecks/tables/changed", ""); !strings.Contains(answer, "amundsen") {
		t.Errorf("it was not done: %s", answer)
	}
}

func TestShowsAPersonABar(t *testing.T) {
	t.Parallel()
	n := serveInProcess(t)
	n.spoil(t)
	code, seen := atTerminal(t, "", "table", "verify", "--all", "--addr", n.url, "--key", testKey)
	for _, want := range []string{"\r[                              ] 0 of 3 tables compared", "\r[##########                    ] 1 of 3", "\r[##############################] 3 of 3", "\r\x1b[K", "TABLE"} {
		if !strings.Contains(seen, want) {
			t.Errorf("%q is missing: %q", want, seen)
		}
	}
	if code != exitFailed {
		t.Errorf("exit code %d", code)
	}
}
