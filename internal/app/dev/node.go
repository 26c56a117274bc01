package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// node is one member of the cluster, whose process may come and go.
type node struct {
	id, url, logFile string
	key              string
	program          string
	args, environ    []string

	mu      sync.Mutex
	current *process
}

// process is one life of a node.
type process struct {
	cmd  *exec.Cmd
	pid  int
	done chan struct{}
	err  error // valid after done
}

func newNode(opts Options, p *place, i int) *node {
	at := p.Nodes[i]
	id := fmt.Sprintf("node%d", i+1)
	join := make([]string, len(p.Nodes))
	for j, other := range p.Nodes {
		join[j] = other.Gossip
	}
	return &node{
		id:      id,
		key:     p.key,
		url:     "http://" + at.HTTP,
		logFile: filepath.Join(p.dir, id+".log"),
		program: opts.Program,
		args: []string{
			"serve",
			"--node-id", id,
			"--data-dir", filepath.Join(p.dir, id),
			"--http-listen", at.HTTP,
			"--cluster-listen", at.Cluster,
			"--gossip-listen", at.Gossip,
			"--join", strings.Join(join, ","),
			"--bootstrap-expect", fmt.Sprint(len(p.Nodes)),
			"--warehouse", p.warehouse(),
			"--secret-key", "file://" + filepath.ToSlash(p.secretKey()),
		},
		environ: nodeEnviron(opts.Environ, p.key),
	}
}

// nodeEnviron leaves out settings meant for a node that is started by hand, and
// puts the key where the process list does not show it.
func nodeEnviron(environ []string, key string) []string {
	out := make([]string, 0, len(environ)+1)
	for _, pair := range environ {
		if !strings.HasPrefix(pair, "FLOEBERG_") || strings.HasPrefix(pair, "FLOEBERG_LOG_") {
			out = append(out, pair)
		}
	}
	return append(out, "FLOEBERG_BOOTSTRAP_KEY="+key)
}

func (n *node) process() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.current
}

// start starts the node's process. What it prints goes to its log file.
func (n *node) start() error {
	if n.program == "" {
		return errNoProgram
	}
	log, err := os.OpenFile(n.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", n.id, err)
	}
	defer log.Close() // the child has a copy
	cmd := exec.Command(n.program, n.args...)
	cmd.Env = n.environ
	cmd.Stdout, cmd.Stderr = log, log
	if err := launch(cmd); err != nil {
		return fmt.Errorf("starting %s: %w", n.id, err)
	}
	p := &process{cmd: cmd, pid: cmd.Process.Pid, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	n.mu.Lock()
	n.current = p
	n.mu.Unlock()
	return nil
}

func (p *process) hasEnded() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// signal reaches only this process: the kernel's handle of it, not its number,
// names it. One that has just ended is left in peace.
func (p *process) signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		// Nothing else can end it then.
		_ = p.cmd.Process.Kill()
	}
}

// ending says how the process ended.
func (p *process) ending() string {
	if p.err == nil {
		return "exit code 0"
	}
	return p.err.Error()
}

// probe keeps no connection: a node that was killed is asked anew.
var probe = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// probeEvery is how often a node that is not ready is asked again.
const probeEvery = 50 * time.Millisecond

// waitReady returns when the node says that it is ready, and an error with the
// end of its log when it ends, or is not in time.
func (n *node) waitReady(ctx context.Context) error {
	p := n.process()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	last := "it did not answer"
	for {
		ready, reason := n.ready(ctx)
		if ready {
			return nil
		}
		if reason != "" {
			last = reason
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %s. Its log, %s, ends with:\n%s", n.id, p.ending(), n.logFile, n.logTail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready yet: %s (see %s)", n.id, last, n.logFile)
		case <-tick.C:
		}
	}
}

// ready asks the node. Its port may have been taken by another program since it
// was found free, another cluster's node even: the one that is meant knows the
// key and its name.
func (n *node) ready(ctx context.Context) (ok bool, reason string) {
	status, _, reason := n.ask(ctx, "/ready")
	if status != http.StatusOK {
		return false, reason
	}
	switch status, name, reason := n.ask(ctx, "/v1/config"); {
	case status == http.StatusOK && name == n.id:
		return true, ""
	case status == http.StatusUnauthorized || status == http.StatusOK:
		return false, "another program answers at " + n.url
	default:
		return false, reason
	}
}

// ask returns what the node answers: its status, 0 where there was no answer, the
// node that says to have made it, and the body.
func (n *node) ask(ctx context.Context, path string) (status int, name, body string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+path, nil)
	if err != nil {
		return 0, "", err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+n.key)
	res, err := probe.Do(req)
	if err != nil {
		return 0, "", ""
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err != nil {
		return 0, "", err.Error()
	}
	return res.StatusCode, res.Header.Get("Floeberg-Node"), strings.TrimSpace(string(raw))
}

// logTail is the last lines of the log.
func (n *node) logTail() string {
	raw, err := os.ReadFile(n.logFile)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// lineWriter lets several goroutines print whole lines.
type lineWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lineWriter) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, format+"\n", args...)
}
