package process

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// starts is served by one goroutine on one thread that lives as long as the
// test process: Linux delivers the parent-death signal when the *thread* that
// started the child ends.
var starts = func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
}()

// Start starts cmd so that it dies with the test process: a test run that is
// killed leaves nothing behind.
func Start(cmd *exec.Cmd) error { return StartIn(cmd, nil) }

// StartIn is Start in a network namespace; nil is that of the test process.
func StartIn(cmd *exec.Cmd, space *os.File) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	done := make(chan error)
	starts <- func() {
		if space == nil {
			done <- cmd.Start()
			return
		}
		done <- within(space, cmd.Start)
	}
	return <-done
}

// within calls f while the calling thread, which is locked, is in a namespace.
func within(space *os.File, f func() error) error {
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("opening the own network namespace: %w", err)
	}
	defer home.Close()
	if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering a network namespace: %w", err)
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		// All that this thread starts later would be in the wrong network.
		panic(fmt.Sprintf("coming back from a network namespace: %v", back))
	}
	return err
}
