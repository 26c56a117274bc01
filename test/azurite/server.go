// Package azurite runs Microsoft's own emulator of Azure's Blob Service for tests,
// on a free port of the loopback interface, with a data folder of its own.
package azurite

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/process"
)

//go:embed package-lock.json
var lock []byte

// Server is a running emulator.
type Server struct {
	*process.Service

	// Endpoint is the URL of the account's Blob Service.
	Endpoint string
	// Account is its name, and AccountKey its key.
	Account, AccountKey string
}

// Start runs an emulator until the test ends, with these containers. Where it is
// not installed the test is skipped, or fails if FLOEBERG_TOOLS_REQUIRED is set.
func Start(t testing.TB, containers ...string) *Server {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		process.Missing(t, "Azurite needs Node.js: there is no node in PATH (Debian: apt-get install nodejs npm)")
	}
	program := process.Tool(t, "azurite.sh", "azurite-"+lockSum(), "node_modules", "azurite", "dist", "src", "blob", "main.js")
	folder := t.TempDir()
	key := sha256.Sum256([]byte(rand.Text()))
	s := &Server{
		// A name of its own: what answers for it is this server, and not another
		// one that was faster to take the port.
		Account:    "a" + hex.EncodeToString(key[:8]),
		AccountKey: base64.StdEncoding.EncodeToString(key[:]),
	}
	s.Service = process.Serve(t, "Azurite", func(port int) *exec.Cmd {
		cmd := exec.Command(node, program,
			"--blobHost", "127.0.0.1", "--blobPort", fmt.Sprint(port),
			"--location", folder, "--silent", "--disableTelemetry",
		)
		cmd.Env = append(os.Environ(), "AZURITE_ACCOUNTS="+s.Account+":"+s.AccountKey)
		cmd.Dir = folder
		return cmd
	}, func(port int) (string, int) {
		// Unsigned, it is refused; another server's account would be unknown.
		return fmt.Sprintf("http://127.0.0.1:%d/%s/health?restype=container", port, s.Account), http.StatusForbidden
	})
	s.Endpoint = "http://" + s.Address() + "/" + s.Account
	for _, container := range containers {
		s.createContainer(t, container)
	}
	return s
}

// Location is the name of a container's place, as engines write it.
func (s *Server) Location(container string) string {
	return "abfss://" + container + "@" + s.Account + ".dfs.core.windows.net"
}

// createContainer signs the one request that the catalog itself never makes.
func (s *Server) createContainer(t testing.TB, name string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.Endpoint+"/"+name+"?restype=container", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	date := time.Now().UTC().Format(http.TimeFormat)
	r.Header.Set("X-Ms-Date", date)
	r.Header.Set("X-Ms-Version", "2021-12-02")
	key, err := base64.StdEncoding.DecodeString(s.AccountKey)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:%s\nx-ms-version:2021-12-02\n/%s/%s/%s\nrestype:container", date, s.Account, s.Account, name)
	r.Header.Set("Authorization", "SharedKey "+s.Account+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		body, _ := io.ReadAll(response.Body)
		t.Fatalf("create container %s: %s %s", name, response.Status, body)
	}
}

// lockSum names the folder of an installation, as the script does: by what is in
// the lock file beside this one.
func lockSum() string {
	sum := sha256.Sum256(lock)
	return hex.EncodeToString(sum[:8])
}
