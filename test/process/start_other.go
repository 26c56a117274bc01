//go:build !linux

package process

import "os/exec"

// Start starts cmd. Where the system has no parent-death signal, a test run
// that is killed leaves it behind.
func Start(cmd *exec.Cmd) error { return cmd.Start() }
