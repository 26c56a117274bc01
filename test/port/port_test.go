package port_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/floeberg/floeberg/test/port"
)

// asOther has the test's binary play another test process: it takes ports, prints
// them and holds them until its input ends.
const asOther = "TAKE_PORTS"

// many are more than a block has.
const many = 400

func TestMain(m *testing.M) {
	if os.Getenv(asOther) == "" {
		os.Exit(m.Run())
	}
	for range many {
		p, err := port.Take()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(p)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestProcessesShareNoPort(t *testing.T) {
	t.Parallel()
	owner := make(map[int]string)
	take := func(p int, who string) {
		t.Helper()
		if was, taken := owner[p]; taken {
			t.Errorf("%s was given port %d, which is %s's", who, p, was)
		}
		owner[p] = who
	}
	for i := range 3 {
		who := fmt.Sprintf("process %d", i+1)
		cmd := exec.Command(os.Args[0])
		cmd.Env, cmd.Stderr = append(os.Environ(), asOther+"=yes"), os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = in.Close()
			if err := cmd.Wait(); err != nil {
				t.Errorf("%s: %v", who, err)
			}
		})
		lines := bufio.NewScanner(out)
		for range many {
			if !lines.Scan() {
				t.Fatalf("%s ended early: %v", who, lines.Err())
			}
			p, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatal(err)
			}
			take(p, who)
		}
	}
	for range many {
		p, err := port.Take()
		if err != nil {
			t.Fatal(err)
		}
		take(p, "this process")
	}
}

func TestAddressesCanBeListenedOn(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 20 {
		address := port.Address(t)
		if seen[address] {
			t.Errorf("%s was given twice", address)
		}
		seen[address] = true
		for range 2 { // it stays this test's own in between
			if err := listen(address); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// listen listens on an address for a moment. The other test starts programs, which
// hold what is open at that moment until they run.
func listen(address string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	udp, err := net.ListenPacket("udp", address)
	if err == nil {
		err = udp.Close()
	}
	return errors.Join(err, tcp.Close())
}

func TestRowsDontOverlap(t *testing.T) {
	t.Parallel()
	const length = 200
	a, b := port.Row(t, length), port.Row(t, length)
	if a < b+length && b < a+length {
		t.Errorf("%d ports from %d and from %d overlap", length, a, b)
	}
}
