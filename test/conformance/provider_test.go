package conformance_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/process"
)

// provider is the identity provider of the module in provider/.
type provider struct {
	*process.Service
	issuer, tokenURL string
}

// What the provider knows from the start: a program, whom its tokens are for as well.
const (
	providedID     = "sid1"
	providedSecret = "verysecret"
	// providedScope has tokens hold providedGroups, which names the program.
	providedScope  = "openid custom_scope"
	providedGroups = "custom_claim.client"
)

// startProvider builds the provider and runs it until the test ends.
func startProvider(t *testing.T, tokenLifetime, keyLifetime time.Duration) *provider {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "provider")
	// As its library was built by test/tools/oidcserver.sh.
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", binary, ".")
	build.Dir = "provider"
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if printed, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	p := &provider{}
	p.Service = process.Serve(t, "the identity provider", func(port int) *exec.Cmd {
		p.issuer = fmt.Sprintf("http://localhost:%d/", port)
		p.tokenURL = p.issuer + "oauth/token"
		return exec.Command(binary, fmt.Sprint(port), tokenLifetime.String(), keyLifetime.String())
	}, func(port int) (string, int) {
		return fmt.Sprintf("http://127.0.0.1:%d/.well-known/openid-configuration", port), http.StatusOK
	})
	return p
}
