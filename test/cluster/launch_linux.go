package cluster

import (
	"os/exec"
	"runtime"
	"syscall"
)

// launches is served by one goroutine on one thread that lives as long as the
// test process: Linux delivers the parent-death signal when the *thread* that
// started the child ends.
var launches = func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
}()

// launch starts cmd so that it dies with the test process: a test run that is
// killed leaves no nodes behind.
func launch(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	done := make(chan error)
	launches <- func() { done <- cmd.Start() }
	return <-done
}
