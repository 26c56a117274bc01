package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/floeberg/floeberg/test/process"
)

// Host is a machine as far as its network is concerned.
type Host struct {
	address netip.Addr
	space   *os.File // its network namespace
	tun     *os.File // where its packets come out and go in
}

// Address is where the other hosts reach it.
func (h *Host) Address() string { return h.address.String() }

// Start starts a program on the host.
func (h *Host) Start(cmd *exec.Cmd) error { return process.StartIn(cmd, h.space) }

// Dial connects to a port that is listened on within the host, as a client on
// that machine would: no fault of the network is between them.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	// A socket belongs to the namespace in which it was made, whoever uses it.
	var conn net.Conn
	err := inside(h.space, func() (err error) {
		// Without a fallback the socket is made on this thread.
		conn, err = (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

func (h *Host) close() error {
	var errs []error
	for _, f := range []*os.File{h.tun, h.space} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// inside runs f on a thread of its own within a namespace. The thread ends with
// it: there is no way back that could fail.
func inside(space *os.File, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("entering a network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// newHost makes a namespace with an interface of this address.
func newHost(address netip.Prefix) (*Host, error) {
	h := &Host{address: address.Addr()}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- h.make(address)
	}()
	if err := <-done; err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *Host) make(address netip.Prefix) (err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("making a network namespace (it needs root): %w", err)
	}
	if h.space, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		return fmt.Errorf("opening a network namespace: %w", err)
	}
	if h.tun, err = tunnel(); err != nil {
		return err
	}
	return configure(address)
}

const (
	interfaceName = "mesh0"
	// mtu is that of Ethernet.
	mtu = 1500
)

// tunnel makes the interface in the namespace of the calling thread.
func tunnel() (*os.File, error) {
	const device = "/dev/net/tun"
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", device, err)
	}
	request, err := unix.NewIfreq(interfaceName)
	if err == nil {
		// Bare IP packets, without a header before them.
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a network interface: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), device), nil
}

// configure sets up the interface and the loopback of the calling thread's
// namespace.
func configure(address netip.Prefix) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket in a network namespace: %w", err)
	}
	defer unix.Close(fd)
	ip := address.Addr().As4()
	mask := net.CIDRMask(address.Bits(), 32)
	for _, step := range []struct {
		name    string
		request uint
		set     func(*unix.Ifreq) error
	}{
		{"lo", unix.SIOCSIFFLAGS, up},
		{interfaceName, unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(ip[:]) }},
		{interfaceName, unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr(mask) }},
		{interfaceName, unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(mtu); return nil }},
		{interfaceName, unix.SIOCSIFFLAGS, up},
	} {
		request, err := unix.NewIfreq(step.name)
		if err == nil {
			err = step.set(request)
		}
		if err == nil {
			err = unix.IoctlIfreq(fd, step.request, request)
		}
		if err != nil {
			return fmt.Errorf("setting up %s of a network namespace: %w", step.name, err)
		}
	}
	return nil
}

func up(r *unix.Ifreq) error {
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return nil
}
