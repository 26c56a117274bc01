package dev

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// launcher starts processes from one thread that lives as long as this process
// does: Linux tells children that their parent died when the thread that
// started them ends.
var launcher = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for start := range work {
			start()
		}
	}()
	return work
})

// launch starts a process that Ctrl-C at the terminal does not reach, as its
// parent ends it in good order, and that ends when its parent dies.
func launch(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	done := make(chan error, 1)
	launcher() <- func() { done <- cmd.Start() }
	return <-done
}
