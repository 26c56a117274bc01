//go:build !linux

package app

import "net"

// canPause tells whether a listener can be paused: elsewhere the port might be
// lost by it.
const canPause = false

func pauseListening(*net.TCPListener) error { return nil }

func resumeListening(*net.TCPListener) error { return nil }
