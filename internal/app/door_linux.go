package app

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// canPause tells whether a listener can be paused.
const canPause = true

// backlog is how many connections may wait to be accepted; the system lowers it to
// what it allows, as it does with what Go asks for.
const backlog = 1 << 16

// pauseListening has connections refused while the port stays taken.
func pauseListening(l *net.TCPListener) error {
	return control(l, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RD) })
}

func resumeListening(l *net.TCPListener) error {
	return control(l, func(fd int) error { return unix.Listen(fd, backlog) })
}

func control(l *net.TCPListener, do func(fd int) error) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = do(int(fd)) })
	return errors.Join(err, failed)
}
