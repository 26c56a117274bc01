// Package s3server runs a real S3 server for tests: VersityGW, on a free port
// of the loopback interface, with a data folder of its own.
//
// It was chosen over MinIO and SeaweedFS for what it costs to build from
// source and for being maintained; the figures are in README.md beside this
// file.
package s3server

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/floeberg/floeberg/test/process"
)

// Version of VersityGW that is used; test/tools/s3server.sh installs it.
const Version = "v1.8.0"

// Server is a running S3 server. Its fields say how to reach it.
type Server struct {
	*process.Service

	// Endpoint is http://127.0.0.1:port.
	Endpoint string
	// Region is what requests must be signed for.
	Region string
	// AccessKey and SecretKey are the root user's.
	AccessKey, SecretKey string

	folder string
}

// Start runs a server until the test ends. Where the program is not installed
// the test is skipped, or fails if FLOEBERG_TOOLS_REQUIRED is set.
func Start(t testing.TB) *Server {
	t.Helper()
	binary := process.Tool(t, "s3server.sh", "versitygw-"+Version, "versitygw")
	s := &Server{
		Region:    "eu-test-1", // Not the usual default, so that nothing relies on it.
		AccessKey: "floeberg-test",
		SecretKey: "floeberg-test-secret",
		folder:    t.TempDir(),
	}
	for _, name := range []string{"buckets", "attributes"} {
		if err := os.Mkdir(filepath.Join(s.folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// A path of its own: what answers there is this server, and not another one
	// that was faster to take the port.
	health := "/health-" + rand.Text()
	s.Service = process.Serve(t, "the S3 server", func(port int) *exec.Cmd {
		cmd := exec.Command(binary,
			"--port", fmt.Sprintf("127.0.0.1:%d", port),
			"--region", s.Region,
			"--health", health,
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
		return cmd
	}, func(port int) (string, int) {
		return fmt.Sprintf("http://127.0.0.1:%d%s", port, health), http.StatusOK
	})
	s.Endpoint = "http://" + s.Address()
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
