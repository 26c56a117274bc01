// Package s3server runs a real S3 server for tests: VersityGW, on a free port
// of the loopback interface, with a data folder of its own.
//
// It was chosen over MinIO and SeaweedFS for what it costs to build from
// source and for being maintained; the figures are in README.md beside this
// file.
package s3server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
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
)

// Version of VersityGW that is used; test/tools/s3server.sh installs it.
const Version = "v1.8.0"

const (
	// startPatience is how long a server may take to answer. It needs well under
	// a second; a loaded machine may need many.
	startPatience = 30 * time.Second

	// stopPatience is how long it may take to end by itself.
	stopPatience = 5 * time.Second

	// startAttempts bounds trying other ports: one that was free can be taken
	// by somebody else before the server listens on it.
	startAttempts = 5
)

// Server is a running S3 server. Its fields say how to reach it.
type Server struct {
	// Endpoint is http://127.0.0.1:port.
	Endpoint string
	// Region is what requests must be signed for.
	Region string
	// AccessKey and SecretKey are the root user's.
	AccessKey, SecretKey string

	binary  string
	port    int
	folder  string
	health  string
	printed output.Buffer

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
}

// Binary returns where the server's program is expected.
func Binary() (string, error) {
	tools := os.Getenv("FLOEBERG_TOOLS")
	if tools == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("neither FLOEBERG_TOOLS nor a home folder is set: %w", err)
		}
		tools = filepath.Join(home, ".cache", "floeberg-tools")
	}
	return filepath.Join(tools, "versitygw-"+Version, "versitygw"), nil
}

// Start runs a server until the test ends. Where the program is not installed
// the test is skipped, or fails if FLOEBERG_TOOLS_REQUIRED is set.
func Start(t testing.TB) *Server {
	t.Helper()
	binary, err := Binary()
	if err == nil {
		_, err = os.Stat(binary)
	}
	if err != nil {
		message := fmt.Sprintf("the S3 server is not installed (run test/tools/s3server.sh): %v", err)
		if os.Getenv("FLOEBERG_TOOLS_REQUIRED") != "" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	s := &Server{
		Region:    "eu-test-1", // Not the usual default, so that nothing relies on it.
		AccessKey: "floeberg-test",
		SecretKey: "floeberg-test-secret",
		binary:    binary,
		folder:    t.TempDir(),
		// A path of its own: what answers there is this server, and not another
		// one that was faster to take the port.
		health: "/health-" + rand.Text(),
	}
	for _, name := range []string{"buckets", "attributes"} {
		if err := os.Mkdir(filepath.Join(s.folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.Stop)
	for attempt := 1; ; attempt++ {
		if s.port, err = freePort(); err == nil {
			err = s.run()
		}
		if err == nil {
			break
		}
		if attempt == startAttempts {
			t.Fatalf("start the S3 server: %v\n%s", err, s.printed.String())
		}
	}
	s.Endpoint = fmt.Sprintf("http://127.0.0.1:%d", s.port)
	return s
}

// CreateBucket makes a bucket.
func (s *Server) CreateBucket(t testing.TB, name string) {
	t.Helper()
	// The server's buckets are folders; this spares its users an S3 client.
	if err := os.Mkdir(filepath.Join(s.folder, "buckets", name), 0o700); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the server; what it stored stays for Restart. It does nothing if
// the server is not running.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
}

// Restart ends the server if it runs and starts it again, with the same
// endpoint and the same data.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	if err := s.run(); err != nil {
		t.Fatalf("restart the S3 server: %v\n%s", err, s.printed.String())
	}
}

// freezeTimeout is how long a signal may take to stop the server.
const freezeTimeout = 10 * time.Second

// Freeze stops the server's process in its tracks: connections are accepted by
// the kernel and never answered, as by a machine that hangs. Thaw ends that.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	// The signal takes effect some time after it was sent.
	deadline := time.Now().Add(freezeTimeout)
	for !s.stopped(t) {
		if time.Now().After(deadline) {
			t.Fatalf("the S3 server still runs %v after SIGSTOP", freezeTimeout)
		}
		time.Sleep(time.Millisecond)
	}
}

// stopped tells whether every thread of the process stands still, as the kernel
// tells in the field after the command's name.
func (s *Server) stopped(t testing.TB) bool {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("the threads of the S3 server can't be seen: %v", err)
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

// Thaw lets a frozen server go on.
func (s *Server) Thaw(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		t.Fatalf("send %v to the S3 server: it is not running", sig)
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("send %v to the S3 server: %v", sig, err)
	}
}

// run starts the process and waits until it answers.
func (s *Server) run() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := exec.Command(s.binary,
		"--port", fmt.Sprintf("127.0.0.1:%d", s.port),
		"--region", s.Region,
		"--health", s.health,
		"--keep-alive",
		"--quiet",
		"posix",
		// Files beside the data: temporary folders often lack extended attributes.
		"--sidecar", filepath.Join(s.folder, "attributes"),
		filepath.Join(s.folder, "buckets"),
	)
	// By environment, where other users of the machine do not see them.
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
	cmd.Dir = s.folder
	cmd.Stdout, cmd.Stderr = &s.printed, &s.printed
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		// How it ended is in its output; that it ended is what matters here.
		_ = cmd.Wait()
	}()
	s.cmd, s.exited = cmd, exited
	if err := awaitHealthy(fmt.Sprintf("http://127.0.0.1:%d%s", s.port, s.health), exited); err != nil {
		s.stop()
		return err
	}
	return nil
}

// stop ends the process: politely, then not.
func (s *Server) stop() {
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

func awaitHealthy(url string, exited <-chan struct{}) error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	deadline := time.Now().Add(startPatience)
	for {
		response, err := client.Get(url)
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
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

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	return port, listener.Close()
}
