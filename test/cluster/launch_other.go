//go:build !linux

package cluster

import "os/exec"

// launch starts cmd. Where the system has no parent-death signal, a test run
// that is killed leaves its nodes behind.
func launch(cmd *exec.Cmd) error { return cmd.Start() }
