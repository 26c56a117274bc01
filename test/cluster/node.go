package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/floeberg/floeberg/test/port"
)

// Node is one process of a cluster, running or not.
type Node struct {
	// ID is its --node-id, Dir its --data-dir, URL where it answers HTTP.
	ID, Dir, URL string
	// Program is what the next start runs; "" is Binary.
	Program string

	host                  Host
	http, cluster, gossip string // listening addresses
	args, env             []string
	logPath               string
	probe                 *http.Client // of readiness and metrics

	mu   sync.Mutex
	proc *life
}

// life is one process of a node.
type life struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the process was waited for
	err  error         // valid after done
}

func newNode(dir string, i int, host Host) (*Node, error) {
	n := &Node{ID: fmt.Sprintf("n%d", i+1), host: host}
	n.Dir = filepath.Join(dir, n.ID)
	n.logPath = filepath.Join(dir, n.ID+".log")
	for _, listen := range []struct {
		addr *string
		at   string
	}{
		{&n.http, loopback}, // clients are on the node's machine
		{&n.cluster, host.Address()},
		{&n.gossip, host.Address()},
	} {
		number, err := port.Take()
		if err != nil {
			return nil, err
		}
		*listen.addr = net.JoinHostPort(listen.at, strconv.Itoa(number))
	}
	n.URL = "http://" + n.http
	// No connection is kept, so a node that is killed and started again is asked
	// anew.
	n.probe = &http.Client{
		Timeout:   2 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: host.Dial},
	}
	return n, nil
}

// Move starts a node that does not run under other addresses for other nodes.
func (n *Node) Move() error {
	for _, addr := range []*string{&n.cluster, &n.gossip} {
		number, err := port.Take()
		if err != nil {
			return err
		}
		*addr = net.JoinHostPort(n.host.Address(), strconv.Itoa(number))
	}
	return n.Start()
}

// Start runs the node's program; it is an error when it runs already.
func (n *Node) Start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc != nil {
		return fmt.Errorf("node %s runs already", n.ID)
	}
	path, err := n.Program, error(nil)
	if path == "" {
		if path, err = Binary(); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(n.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", n.ID, err)
	}
	defer log.Close() // the child has its own copy
	cmd := exec.Command(path, append([]string{
		"serve",
		"--node-id", n.ID,
		"--data-dir", n.Dir,
		"--http-listen", n.http,
		"--cluster-listen", n.cluster,
		"--gossip-listen", n.gossip,
	}, n.args...)...)
	cmd.Env = append(os.Environ(), n.env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := n.host.Start(cmd); err != nil {
		return fmt.Errorf("starting node %s: %w", n.ID, err)
	}
	p := &life{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	n.proc = p
	return nil
}

// Running tells whether the process was started and has not ended.
func (n *Node) Running() bool {
	p := n.current()
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// ClusterAddress is where other nodes reach it.
func (n *Node) ClusterAddress() string { return n.cluster }

// GossipAddress is where other nodes find it.
func (n *Node) GossipAddress() string { return n.gossip }

// PID is the id of the node's process; 0 when it was never started or was ended.
func (n *Node) PID() int {
	if p := n.current(); p != nil {
		return p.cmd.Process.Pid
	}
	return 0
}

func (n *Node) current() *life {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

// Kill9 ends the process as a power cut would, and returns when it is gone.
func (n *Node) Kill9() error { return n.end(syscall.SIGKILL, 10*time.Second) }

// Term asks the process to drain, waits for its end and reports how it exited:
// nil is exit code 0. A process that does not end in time is killed, which is
// an error.
func (n *Node) Term(within time.Duration) error {
	p := n.current()
	if err := n.end(syscall.SIGTERM, within); err != nil {
		return err
	}
	if p.err != nil {
		return fmt.Errorf("node %s after SIGTERM: %w", n.ID, p.err)
	}
	return nil
}

func (n *Node) end(sig syscall.Signal, within time.Duration) error {
	p := n.current()
	if p == nil {
		return fmt.Errorf("node %s does not run", n.ID)
	}
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signalling node %s: %w", n.ID, err)
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	var late error
	select {
	case <-p.done:
	case <-timer.C:
		late = fmt.Errorf("node %s had not ended %s after %s", n.ID, within, sig)
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return errors.Join(late, err)
		}
		<-p.done
	}
	n.mu.Lock()
	n.proc = nil
	n.mu.Unlock()
	return late
}

// Exit waits for a process that ends by itself and gives its exit code.
func (n *Node) Exit(ctx context.Context) (int, error) {
	p := n.current()
	if p == nil {
		return 0, fmt.Errorf("node %s does not run", n.ID)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return 0, fmt.Errorf("waiting for node %s to end by itself: %w", n.ID, ctx.Err())
	}
	n.mu.Lock()
	n.proc = nil
	n.mu.Unlock()
	return p.cmd.ProcessState.ExitCode(), nil
}

// Hangup sends SIGHUP: the node reads again what can change while it runs.
func (n *Node) Hangup() error { return n.signal(syscall.SIGHUP) }

// Pause stops the process without ending it: its connections stay open and
// nobody answers. Resume lets it go on.
func (n *Node) Pause() error { return n.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (n *Node) Resume() error { return n.signal(syscall.SIGCONT) }

func (n *Node) signal(sig syscall.Signal) error {
	p := n.current()
	if p == nil {
		return fmt.Errorf("node %s does not run", n.ID)
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signalling node %s: %w", n.ID, err)
	}
	return nil
}

// Get reads a page of the node without authentication: /health, /ready,
// /metrics.
func (n *Node) Get(ctx context.Context, path string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+path, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := n.probe.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return res.StatusCode, string(raw), err
}

// Ready is nil when the node says that it is ready.
func (n *Node) Ready(ctx context.Context) error {
	if !n.Running() {
		return fmt.Errorf("%s: the process has ended", n.ID)
	}
	status, body, err := n.Get(ctx, "/ready")
	if err != nil {
		return fmt.Errorf("%s: %w", n.ID, err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: %d %s", n.ID, status, strings.TrimSpace(body))
	}
	return nil
}

// Log is the last lines that the node wrote.
func (n *Node) Log(lines int) string {
	raw, err := os.ReadFile(n.logPath)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n")
}
