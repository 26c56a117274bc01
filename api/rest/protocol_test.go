package rest_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/api/rest"
)

// fact is what protocol.txt says of an operation.
type fact struct {
	query    []string
	statuses []string
}

// protocol reads protocol.txt: the operations, and what holds for kinds of them.
func protocol() (operations, kinds map[string]fact, err error) {
	raw, err := os.ReadFile("protocol.txt")
	if err != nil {
		return nil, nil, err
	}
	operations, kinds = map[string]fact{}, map[string]fact{}
	for number, line := range strings.Split(string(raw), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		parts := strings.Split(line, "|")
		if len(parts) != 3 {
			return nil, nil, fmt.Errorf("protocol.txt:%d: %q", number+1, line)
		}
		name, into := strings.Join(strings.Fields(parts[0]), " "), operations
		if !strings.Contains(name, " ") {
			into = kinds
		}
		if _, twice := into[name]; twice {
			return nil, nil, fmt.Errorf("protocol.txt:%d: %s is there twice", number+1, name)
		}
		into[name] = fact{query: strings.Fields(parts[1]), statuses: strings.Fields(parts[2])}
	}
	return operations, kinds, nil
}

// allowed are the statuses that each operation may answer with.
func allowed() (map[string][]string, error) {
	operations, kinds, err := protocol()
	if err != nil {
		return nil, err
	}
	routes, err := rest.Routes(rest.Options{Catalog: spy{}})
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, r := range routes {
		name := r.Method + " " + r.Path
		statuses := append(slices.Clone(operations[name].statuses), kinds["*"].statuses...)
		if r.Change {
			statuses = append(statuses, kinds["change"].statuses...)
		}
		if r.Body {
			statuses = append(statuses, kinds["body"].statuses...)
		}
		out[name] = statuses
	}
	return out, nil
}

// TestProtocol holds protocol.txt and the routes to each other.
func TestProtocol(t *testing.T) {
	t.Parallel()
	operations, _, err := protocol()
	if err != nil {
		t.Fatal(err)
	}
	routes, err := rest.Routes(rest.Options{Catalog: spy{}})
	if err != nil {
		t.Fatal(err)
	}
	served := map[string][]string{}
	for _, r := range routes {
		served[r.Method+" "+r.Path] = append([]string{}, r.Query...)
	}
	listed := map[string][]string{}
	for name, f := range operations {
		listed[name] = append([]string{}, f.query...)
	}
	if diff := cmp.Diff(served, listed); diff != "" {
		t.Errorf("served (-) and listed in protocol.txt (+):\n%s", diff)
	}
}

// answered is what all nodes of the package's tests answered.
var answered = struct {
	sync.Mutex
	seen map[string]bool
}{seen: map[string]bool{}}

// noted is a listener that notes each answer before it hands it on.
func noted(next func(middleware.Done)) func(middleware.Done) {
	return func(d middleware.Done) {
		answered.Lock()
		answered.seen[fmt.Sprintf("%s %s %d", d.Method, d.Route, d.Status)] = true
		answered.Unlock()
		if next != nil {
			next(d)
		}
	}
}

// TestMain looks, when all tests are done, whether each status that they got is
// one that protocol.txt has for its operation.
func TestMain(m *testing.M) {
	code := m.Run()
	statuses, err := allowed()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for answer := range answered.seen {
		at := strings.LastIndexByte(answer, ' ')
		if may, ok := statuses[answer[:at]]; ok && !slices.Contains(may, answer[at+1:]) {
			fmt.Fprintf(os.Stderr, "%s was answered with %s, which protocol.txt does not have\n", answer[:at], answer[at+1:])
			code = 1
		}
	}
	os.Exit(code)
}
