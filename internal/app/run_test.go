package app_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/app"
	"github.com/floeberg/floeberg/internal/config"
)

// running is a node under Run, as a process has it.
type running struct {
	*node
	signals chan os.Signal
	ended   chan error
}

func run(t *testing.T, dir string, more flags, reload func() (*config.Config, error)) *running {
	t.Helper()
	r := &running{node: newNode(t, dir, more), signals: make(chan os.Signal, 2), ended: make(chan error, 1)}
	a, err := app.New(app.Options{Config: settings(t, dir, more), Log: r.log, Out: r.out, Reload: reload})
	if err != nil {
		t.Fatal(err)
	}
	r.App = a
	go func() { r.ended <- a.Run(context.WithoutCancel(t.Context()), r.signals) }()
	await(t, "the node to start", func() bool { return strings.Contains(r.log.String(), "the node has started") })
	r.awaitReady(t)
	return r
}

func (r *running) wait(t *testing.T) error {
	t.Helper()
	r.client.CloseIdleConnections()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("it did not end")
		return nil
	}
}

func TestSIGTERMDrains(t *testing.T) {
	t.Parallel()
	r := run(t, t.TempDir(), flags{"bootstrap-key": adminKey}, nil)
	r.signals <- syscall.SIGTERM
	if err := r.wait(t); err != nil {
		t.Errorf("it ended with %v", err)
	}
	for _, line := range []string{"draining", "the node has stopped"} {
		if !strings.Contains(r.log.String(), line) {
			t.Errorf("%q is not logged", line)
		}
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	r := run(t, t.TempDir(), flags{"bootstrap-key": adminKey}, nil)
	// A request that never ends keeps the node from stopping.
	conn := r.halfARequest(t, namespaces, `{"namespace":["a"]}`)
	r.signals <- syscall.SIGTERM
	await(t, "the drain", func() bool { return r.Ready() != nil })
	r.signals <- syscall.SIGTERM
	if err := r.wait(t); !errors.Is(err, app.ErrInterrupted) {
		t.Errorf("it ended with %v", err)
	}
	// A process would be gone now; here, what it was waiting for ends.
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	r.stop(t)
}

func TestAHaltedNodeEndsWithTheReason(t *testing.T) {
	t.Parallel()
	r := run(t, t.TempDir(), flags{"bootstrap-key": adminKey}, nil)
	reason := errors.New("the disk is gone")
	r.Halt(reason)
	r.Halt(errors.New("and so on"))
	if err := r.wait(t); !errors.Is(err, reason) {
		t.Errorf("it ended with %v", err)
	}
	if strings.Count(r.log.String(), "this node can't go on") != 1 {
		t.Error("there is not one clear line")
	}
}

func TestSIGHUPChangesTheLevel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	set := flags{"bootstrap-key": adminKey, "log-level": "info"}
	var fail error
	asked := make(chan struct{}, 4)
	r := run(t, dir, set, func() (*config.Config, error) {
		defer func() { asked <- struct{}{} }()
		if fail != nil {
			return nil, fail
		}
		return settings(t, dir, flags{"bootstrap-key": adminKey, "log-level": "debug"}), nil
	})
	line := func() int {
		r.must(t, 200, "GET", namespaces, "")
		return strings.Count(r.log.String(), "msg=request")
	}
	if n := line(); n != strings.Count(r.log.String(), "level=WARN msg=request") {
		t.Fatalf("reads are logged at info: %s", r.log)
	}
	r.signals <- syscall.SIGHUP
	<-asked
	await(t, "reads to be logged", func() bool { line(); return strings.Contains(r.log.String(), "level=DEBUG msg=request") })

	fail = errors.New("the file is gone")
	r.signals <- syscall.SIGHUP
	<-asked
	await(t, "the failure to be logged", func() bool { return strings.Contains(r.log.String(), "the file is gone") })
	r.must(t, 200, "GET", namespaces, "")
	r.signals <- os.Interrupt
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

// What ends a node while it starts must wait for the start: what is still being
// built can't be taken down, and would be left behind.
func TestEndsWhileStarting(t *testing.T) {
	t.Parallel()
	reason := errors.New("the disk is gone")
	for name, test := range map[string]struct {
		end  func(a *app.App, cancel func(), signals chan<- os.Signal)
		want error
	}{
		"halt":    {func(a *app.App, _ func(), _ chan<- os.Signal) { a.Halt(reason) }, reason},
		"context": {func(_ *app.App, cancel func(), _ chan<- os.Signal) { cancel() }, nil},
		"signal":  {func(_ *app.App, _ func(), signals chan<- os.Signal) { signals <- syscall.SIGTERM }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			more := flags{"bootstrap-key": adminKey}
			n := newNode(t, dir, more)
			// A process ends, and does not wait for long. Here the folder is needed again.
			n.SetHaltGrace(time.Minute)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			signals := make(chan os.Signal, 1)
			test.end(n.App, cancel, signals)
			err := n.Run(ctx, signals)
			// Whether the start took note of its context is a matter of the moment.
			if test.want != nil && (!errors.Is(err, test.want) || errors.Is(err, context.Canceled)) ||
				err != nil && test.want == nil && !errors.Is(err, context.Canceled) && !errors.Is(err, app.ErrInterrupted) {
				t.Errorf("it ended with %v", err)
			}
			startReady(t, dir, more)
		})
	}
}
