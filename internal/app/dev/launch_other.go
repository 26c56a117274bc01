//go:build !linux

package dev

import (
	"os/exec"
	"syscall"
)

// launch starts a process that Ctrl-C at the terminal does not reach: its
// parent ends it in good order.
func launch(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd.Start()
}
