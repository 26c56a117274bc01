// Package awskms runs moto, which stands in for AWS's Key Management Service, for
// tests, on a free port of the loopback interface.
package awskms

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"github.com/floeberg/floeberg/test/process"
)

//go:embed requirements.txt
var requirements []byte

// Server is a running moto.
type Server struct {
	*process.Service

	// Endpoint is its URL.
	Endpoint string
}

// Start runs a server until the test ends. Where it is not installed the test is
// skipped, or fails if FLOEBERG_TOOLS_REQUIRED is set.
func Start(t testing.TB) *Server {
	t.Helper()
	python := process.Tool(t, "python.sh test/awskms/requirements.txt", "python-"+sum(t), "bin", "python")
	s := &Server{}
	s.Service = process.Serve(t, "moto", func(port int) *exec.Cmd {
		cmd := exec.Command(python, "-m", "moto.server", "-H", "127.0.0.1", "-p", fmt.Sprint(port))
		// It has no credentials of anybody.
		cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=")
		return cmd
	}, func(port int) (string, int) {
		return fmt.Sprintf("http://127.0.0.1:%d/moto-api/data.json", port), http.StatusOK
	})
	s.Endpoint = "http://" + s.Address()
	return s
}

// sum names the environment, as the script does: by the requirements and by which
// Python it is.
func sum(t testing.TB) string {
	t.Helper()
	python := os.Getenv("PYTHON")
	if python == "" {
		python = "python3"
	}
	version, err := exec.Command(python, "-V").Output()
	if err != nil {
		process.Missing(t, "there is no "+python+": "+err.Error())
	}
	sum := sha256.Sum256(append(append([]byte{}, requirements...), version...))
	return hex.EncodeToString(sum[:])[:16]
}
