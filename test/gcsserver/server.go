// Package gcsserver runs a server that speaks the JSON API of Google Cloud Storage
// for tests: fake-gcs-server, on a free port of the loopback interface, with a
// data folder of its own.
package gcsserver

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/floeberg/floeberg/test/process"
)

// Version of fake-gcs-server that is used; test/tools/gcsserver.sh installs it.
const Version = "v1.56.1"

// Server is a running server.
type Server struct {
	*process.Service

	// Endpoint is http://127.0.0.1:port. No credentials are needed.
	Endpoint string

	folder string
}

// Start runs a server until the test ends, with these buckets. Where the program is
// not installed the test is skipped, or fails if FLOEBERG_TOOLS_REQUIRED is set.
func Start(t testing.TB, buckets ...string) *Server {
	t.Helper()
	binary := process.Tool(t, "gcsserver.sh", "fake-gcs-server-"+Version, "fake-gcs-server")
	s := &Server{folder: t.TempDir()}
	// The server's buckets are folders; this spares its users a client.
	for _, bucket := range buckets {
		if err := os.MkdirAll(filepath.Join(s.folder, "buckets", bucket), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.Service = process.Serve(t, "the GCS server", func(port int) *exec.Cmd {
		cmd := exec.Command(binary,
			"-scheme", "http", "-host", "127.0.0.1", "-port", fmt.Sprint(port),
			"-external-url", fmt.Sprintf("http://127.0.0.1:%d", port),
			"-backend", "filesystem", "-filesystem-root", filepath.Join(s.folder, "buckets"),
			"-data", filepath.Join(s.folder, "no data to begin with"),
			"-log-level", "error",
		)
		cmd.Dir = s.folder
		return cmd
	}, func(port int) (string, int) {
		return fmt.Sprintf("http://127.0.0.1:%d/_internal/healthcheck", port), http.StatusOK
	})
	s.Endpoint = "http://" + s.Address()
	return s
}
