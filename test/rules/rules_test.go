// Package rules holds what the linter can't see: what is reached through other
// packages, and what the program links.
package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/floeberg/floeberg"

// pkg is what is read of `go list -json`.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	CgoFiles   []string
	Standard   bool
}

// listed are the packages of the module and all that they need, as the program
// is built: without cgo, without tests.
var listed = sync.OnceValues(func() (map[string]pkg, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Deps,CgoFiles,Standard", module+"/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.Join(err, errors.New(stderr.String()))
	}
	packages := map[string]pkg{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages[p.ImportPath] = p
	}
})

func packages(t *testing.T) map[string]pkg {
	t.Helper()
	all, err := listed()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// forTests are packages for tests alone, most of them beside what they test.
var forTests = []string{module + "/test", module + "/api/apitest", module + "/cluster/clustertest", module + "/fsm/fsmtest"}

// below tells whether a path is a package or below it.
func below(path, pkg string) bool { return path == pkg || strings.HasPrefix(path, pkg+"/") }

// room is the top of a package of ours, such as "api" or "internal/catalog"; "test"
// is that of all that is for tests alone.
func room(path string) string {
	if slices.ContainsFunc(forTests, func(p string) bool { return below(path, p) }) {
		return "test"
	}
	rest, ours := strings.CutPrefix(path, module+"/")
	if !ours {
		return ""
	}
	parts := strings.SplitN(rest, "/", 3)
	if parts[0] == "internal" && len(parts) > 1 {
		return parts[0] + "/" + parts[1]
	}
	return parts[0]
}

// TestArrows holds which room may reach which, directly or through others:
// cmd → app → api → catalog → cluster → fsm. A room that is not listed is new;
// its place in the order is decided here.
func TestArrows(t *testing.T) {
	t.Parallel()
	reaches := map[string][]string{
		"cmd":                nil, // everything
		"internal/app":       nil,
		"internal/certs":     {"internal/disk"},
		"internal/config":    {"authz", "fsm", "internal/disk", "internal/iceberg", "internal/secret", "ops"}, // it knows what a key must look like, and a place for the audit log
		"internal/iceberg":   {},
		"internal/disk":      {},
		"internal/newest":    {},
		"internal/storage":   {},
		"ops":                {"internal/disk"},
		"fsm":                {},
		"cluster":            {"fsm"},
		"authz":              {"fsm", "internal/iceberg"}, // what of a table may be read is said in the format's terms
		"internal/archive":   {"fsm", "internal/storage"},
		"internal/backup":    {"fsm", "internal/storage"},
		"internal/restore":   {"fsm", "internal/archive", "internal/backup", "internal/storage"},
		"internal/catalog":   {"fsm", "internal/iceberg", "internal/newest", "internal/storage"},
		"internal/identity":  {"authz", "fsm", "internal/catalog", "internal/iceberg", "internal/newest", "internal/storage"},
		"internal/policy":    {"authz", "fsm", "internal/catalog", "internal/iceberg", "internal/newest", "internal/storage"},
		"internal/secret":    {"fsm"},
		"internal/warehouse": {"fsm", "internal/catalog", "internal/iceberg", "internal/newest", "internal/secret", "internal/storage"},
		"internal/tasks":     {"fsm", "internal/iceberg", "internal/storage"},
		"api":                {"authz", "fsm", "internal/archive", "internal/backup", "internal/catalog", "internal/disk", "internal/iceberg", "internal/identity", "internal/newest", "internal/policy", "internal/restore", "internal/secret", "internal/storage", "internal/warehouse", "ops"},
	}
	for path, p := range packages(t) {
		from := room(path)
		if from == "" || from == "test" {
			continue
		}
		allowed, known := reaches[from]
		if !known {
			t.Errorf("room %s has no place in the order", from)
			continue
		}
		if allowed == nil {
			continue
		}
		for _, dep := range p.Deps {
			to := room(dep)
			if to == "" || to == from {
				continue
			}
			ok := false
			for _, a := range allowed {
				ok = ok || a == to
			}
			if !ok {
				t.Errorf("%s reaches %s: %s must not need %s", path, dep, from, to)
			}
		}
	}
}

// TestHomes holds where a library may be imported; elsewhere its types and its
// weight would spread.
func TestHomes(t *testing.T) {
	t.Parallel()
	for library, homes := range map[string][]string{
		"filippo.io/age":                   {"internal/backup"},
		"github.com/coreos/go-oidc":        {"authz"},
		"github.com/gin-gonic/gin":         {"api"},
		"github.com/go-jose/go-jose":       {"authz"},
		"github.com/hashicorp/raft":        {"cluster", "fsm"},
		"github.com/hashicorp/raft-boltdb": {"cluster"},
		"github.com/hashicorp/memberlist":  {"cluster"},
		"github.com/cockroachdb/pebble":    {"fsm"},
		"github.com/cedar-policy":          {"authz/cedar"},
		"github.com/minio/minio-go":        {"internal/storage"},
		"golang.org/x/crypto":              {"internal/secret"},
		"golang.org/x/oauth2":              {"internal/storage"},
		"golang.org/x/time":                {"api"},
		"github.com/spf13/cobra":           {"cmd"},
		"github.com/mattn/go-isatty":       {"cmd"},
		"github.com/prometheus":            {"ops", "internal/app"},
	} {
		for path, p := range packages(t) {
			from := room(path)
			if from == "" || from == "test" {
				continue
			}
			for _, imported := range p.Imports {
				if imported != library && !strings.HasPrefix(imported, library+"/") {
					continue
				}
				ok := false
				for _, home := range homes {
					ok = ok || home == from || path == module+"/"+home || strings.HasPrefix(path, module+"/"+home+"/")
				}
				if !ok {
					t.Errorf("%s imports %s, which belongs to %v", path, imported, homes)
				}
			}
		}
	}
}

// TestClient holds that the commands' client knows the server by HTTP only: it
// must be able to speak to another version of it.
func TestClient(t *testing.T) {
	t.Parallel()
	p, ok := packages(t)[module+"/api/client"]
	if !ok {
		t.Fatal("there is no client")
	}
	for _, dep := range p.Deps {
		if room(dep) != "" {
			t.Errorf("the client reaches %s", dep)
		}
	}
}

// TestPureRooms holds what must not be reachable from the rooms that compute
// the same everywhere.
func TestPureRooms(t *testing.T) {
	t.Parallel()
	for path, p := range packages(t) {
		if room(path) != "internal/iceberg" {
			continue
		}
		for _, imported := range p.Imports {
			dep, known := packages(t)[imported]
			switch {
			case room(imported) == "internal/iceberg":
			case path == module+"/internal/iceberg/manifest" && strings.HasPrefix(imported, "github.com/klauspost/compress/"):
				// The codecs of Avro files.
			case !known || !dep.Standard:
				t.Errorf("%s imports %s: the format needs the standard library only", path, imported)
			case imported == "os" || imported == "net" || strings.HasPrefix(imported, "net/"):
				t.Errorf("%s imports %s: the format does no I/O", path, imported)
			}
		}
	}
}

// TestProgram holds what the program must not link: what is heavy, what needs
// cgo, what belongs to tests.
func TestProgram(t *testing.T) {
	t.Parallel()
	program, ok := packages(t)[module+"/cmd/floeberg"]
	if !ok {
		t.Fatal("there is no program")
	}
	for _, dep := range program.Deps {
		for _, banned := range append([]string{
			"github.com/apache/iceberg-go", "github.com/apache/arrow", "gocloud.dev", "cloud.google.com/go/storage", "github.com/aws/aws-sdk-go",
			"google.golang.org/api", "github.com/Azure",
			"google.golang.org/grpc", "net/http/httptest", "github.com/google/go-cmp", "pgregory.net/rapid",
		}, forTests...) {
			if below(dep, banned) {
				t.Errorf("the program links %s", dep)
			}
		}
		if files := packages(t)[dep].CgoFiles; len(files) > 0 {
			t.Errorf("the program links %s, which needs cgo", dep)
		}
	}
}
