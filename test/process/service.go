package process

import (
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
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/output"
	"github.com/floeberg/floeberg/test/port"
)

const (
	// startPatience is how long a service may take to answer. It needs well under
	// a second or two; a loaded machine may need many.
	startPatience = 60 * time.Second

	// stopPatience is how long it may take to end by itself.
	stopPatience = 5 * time.Second

	// freezeTimeout is how long a signal may take to stop the service.
	freezeTimeout = 10 * time.Second
)

// Service is a server that a test runs beside itself and takes away at will.
type Service struct {
	name    string
	command func(port int) *exec.Cmd
	health  func(port int) (url string, status int)

	port    int
	printed output.Buffer

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
}

// Serve runs a service on a port of the loopback interface until the test ends. It
// is up when health's URL answers with its status, something that no other server
// answers.
func Serve(t testing.TB, name string, command func(port int) *exec.Cmd, health func(port int) (url string, status int)) *Service {
	t.Helper()
	number, err := port.Take()
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{name: name, command: command, health: health, port: number}
	t.Cleanup(s.Stop)
	if err := s.run(); err != nil {
		t.Fatalf("start %s: %v\n%s", name, err, s.printed.String())
	}
	return s
}

// Address is host:port, which stays over restarts.
func (s *Service) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Stop ends the service; what it stored stays for Restart. It does nothing if
// the service is not running.
func (s *Service) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
}

// Restart ends the service if it runs and starts it again, at the same address
// and with the same data.
func (s *Service) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	if err := s.run(); err != nil {
		t.Fatalf("restart %s: %v\n%s", s.name, err, s.printed.String())
	}
}

// Freeze stops the service's process in its tracks: connections are accepted by
// the kernel and never answered, as by a machine that hangs. Thaw ends that.
func (s *Service) Freeze(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	// The signal takes effect some time after it was sent.
	deadline := time.Now().Add(freezeTimeout)
	for !s.stopped(t) {
		if time.Now().After(deadline) {
			t.Fatalf("%s still runs %v after SIGSTOP", s.name, freezeTimeout)
		}
		time.Sleep(time.Millisecond)
	}
}

// stopped tells whether every thread of the process stands still, as the kernel
// tells in the field after the command's name.
func (s *Service) stopped(t testing.TB) bool {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("the threads of %s can't be seen: %v", s.name, err)
	}
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		if err != nil {
			return false // the thread ended meanwhile
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		if !strings.HasPrefix(after, "T") {
			return false
		}
	}
	return true
}

// Thaw lets a frozen service go on.
func (s *Service) Thaw(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *Service) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		t.Fatalf("send %v to %s: it is not running", sig, s.name)
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("send %v to %s: %v", sig, s.name, err)
	}
}

// run starts the process and waits until it answers.
func (s *Service) run() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := s.command(s.port)
	cmd.Stdout, cmd.Stderr = &s.printed, &s.printed
	if err := Start(cmd); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		// How it ended is in its output; that it ended is what matters here.
		_ = cmd.Wait()
	}()
	s.cmd, s.exited = cmd, exited
	url, status := s.health(s.port)
	if err := awaitAnswer(url, status, exited); err != nil {
		s.stop()
		return err
	}
	return nil
}

// stop ends the process: politely, then not.
func (s *Service) stop() {
	if s.cmd == nil {
		return
	}
	// Errors mean that it has ended already, which the wait below notices.
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Process.Signal(syscall.SIGCONT) // A frozen process hears nothing.
	select {
	case <-s.exited:
	case <-time.After(stopPatience):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
	s.cmd = nil
}

func awaitAnswer(url string, status int, exited <-chan struct{}) error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	deadline := time.Now().Add(startPatience)
	for {
		response, err := client.Get(url)
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.StatusCode == status {
				return nil
			}
			err = fmt.Errorf("%s: %s", url, response.Status)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it does not answer after %s: %w", startPatience, err)
		}
		select {
		case <-exited:
			return errors.New("it ended at once")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Tool gives the path of a program below the folder where the scripts in
// test/tools install it. Where it is not installed the test is skipped, or fails
// if FLOEBERG_TOOLS_REQUIRED is set.
func Tool(t testing.TB, script string, path ...string) string {
	t.Helper()
	tools := os.Getenv("FLOEBERG_TOOLS")
	if tools == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatalf("neither FLOEBERG_TOOLS nor a home folder is set: %v", err)
		}
		tools = filepath.Join(home, ".cache", "floeberg-tools")
	}
	program := filepath.Join(append([]string{tools}, path...)...)
	if _, err := os.Stat(program); err != nil {
		Missing(t, fmt.Sprintf("not installed (run test/tools/%s): %v", script, err))
	}
	return program
}

// Missing is for a test that needs what the machine lacks.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("FLOEBERG_TOOLS_REQUIRED") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}
