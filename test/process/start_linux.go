package process

import (
	"os/exec"
	"runtime"
	"syscall"
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
func Start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	done := make(chan error)
	starts <- func() { done <- cmd.Start() }
	return <-done
}
