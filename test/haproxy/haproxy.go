// Package haproxy runs HAProxy before nodes, with the configuration that
// deploy/haproxy offers to users.
package haproxy

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/output"
	"github.com/floeberg/floeberg/test/port"
	"github.com/floeberg/floeberg/test/process"
)

const (
	// startPatience is how long it may take until it listens.
	startPatience = 10 * time.Second
	// stopPatience is how long it may take to end by itself.
	stopPatience = 5 * time.Second
)

// Proxy is a running HAProxy.
type Proxy struct {
	// URL is what clients are configured with.
	URL string

	printed output.Buffer
}

// Start runs HAProxy before three nodes, given as host:port, until the test
// ends. Where it is not installed the test is skipped, or fails if
// FLOEBERG_TOOLS_REQUIRED is set.
func Start(t testing.TB, nodes [3]string) *Proxy {
	t.Helper()
	program := program(t)
	listen := port.Address(t)
	config, err := configuration(listen, nodes)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &Proxy{URL: "http://" + listen}
	cmd := exec.Command(program, "-db", "-f", file)
	cmd.Stdout, cmd.Stderr = &p.printed, &p.printed
	if err := process.Start(cmd); err != nil {
		t.Fatalf("starting HAProxy: %v", err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		// How it ended is in its output; that it ended is what matters here.
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		// An error means that it has ended already, which the wait notices.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(stopPatience):
			_ = cmd.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Logf("HAProxy's log ends with\n%s", p.log(60))
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	err = cluster.Await(ctx, "HAProxy to listen", func(ctx context.Context) error {
		select {
		case <-exited:
			return fmt.Errorf("it has ended: %s", p.printed.String())
		default:
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", listen)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Served counts the requests that each node answered, by its name in the
// configuration. A request that no node answered counts for "<NOSRV>".
func (p *Proxy) Served() map[string]int {
	served := map[string]int{}
	for _, line := range requestLine.FindAllStringSubmatch(p.printed.String(), -1) {
		served[line[1]]++
	}
	return served
}

// Redispatched counts the requests that another node got than was meant to.
func (p *Proxy) Redispatched() int {
	n := 0
	for _, line := range requestLine.FindAllStringSubmatch(p.printed.String(), -1) {
		if strings.HasPrefix(line[2], "+") {
			n++
		}
	}
	return n
}

// requestLine is the node and the retries of a line of HAProxy's HTTP log: its
// fifth count of connections is that of retries, with a plus where another node
// was tried.
var requestLine = regexp.MustCompile(` floeberg nodes/(\S+) \S+ \d+ \d+ \S+ \S+ \S+ \d+/\d+/\d+/\d+/(\+?\d+) `)

// log is the end of what it printed.
func (p *Proxy) log(lines int) string {
	all := strings.Split(strings.TrimRight(p.printed.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// configuration is the one that users are offered, with these addresses in
// place of its own.
func configuration(listen string, nodes [3]string) (string, error) {
	root, err := cluster.ModuleRoot()
	if err != nil {
		return "", err
	}
	raw, err := os.ReadFile(filepath.Join(root, "deploy", "haproxy", "haproxy.cfg"))
	if err != nil {
		return "", err
	}
	config := string(raw)
	for _, r := range [][2]string{
		{"bind *:8181\n", "bind " + listen + "\n"},
		{"server node1 10.0.0.1:8181\n", "server node1 " + nodes[0] + "\n"},
		{"server node2 10.0.0.2:8181\n", "server node2 " + nodes[1] + "\n"},
		{"server node3 10.0.0.3:8181\n", "server node3 " + nodes[2] + "\n"},
	} {
		if n := strings.Count(config, r[0]); n != 1 {
			return "", fmt.Errorf("deploy/haproxy/haproxy.cfg has %d lines %q, want one", n, r[0])
		}
		config = strings.Replace(config, r[0], r[1], 1)
	}
	return config, nil
}

func program(t testing.TB) string {
	t.Helper()
	root, err := cluster.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(root, "test", "tools", "haproxy.sh"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		if os.Getenv("FLOEBERG_TOOLS_REQUIRED") == "" {
			t.Skipf("no HAProxy: %v", err)
		}
		t.Fatalf("looking for HAProxy: %v", err)
	}
	return strings.TrimSpace(string(out))
}
