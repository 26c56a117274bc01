package conformance_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/output"
	"github.com/floeberg/floeberg/test/port"
	"github.com/floeberg/floeberg/test/process"
)

// reference is Iceberg's own REST catalog, over a database in memory and a
// warehouse in a folder of its own: what clients are developed against, and
// what their results are compared to.
type reference struct {
	URL string
	// Warehouse is the root of its tables, a file:// location.
	Warehouse string
}

// startReference runs the server until the test ends.
func startReference(t *testing.T) *reference {
	t.Helper()
	jars := tool(t, "maven.sh", "rck/pom.xml")
	number, err := port.Take()
	if err != nil {
		t.Fatal(err)
	}
	r := &reference{URL: fmt.Sprintf("http://127.0.0.1:%d", number), Warehouse: "file://" + t.TempDir()}
	var printed output.Buffer
	server := exec.Command("java", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
		"-cp", jars+"/*", "org.apache.iceberg.rest.RESTCatalogServer")
	server.Env = append(os.Environ(),
		"CATALOG_REST_PORT="+strconv.Itoa(number),
		"CATALOG_WAREHOUSE="+r.Warehouse,
		// Each connection to a database in memory would have a database of its own.
		"CATALOG_CLIENTS=1",
		// A table's namespace must be there.
		"CATALOG_JDBC_STRICT__MODE=true",
	)
	server.Stdout, server.Stderr = &printed, &printed
	if err := process.Start(server); err != nil {
		t.Fatal(err)
	}
	var end error // set when ended is closed
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end = server.Wait()
	}()
	t.Cleanup(func() {
		// After an end of its own there is nothing left to kill.
		_ = server.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("the reference server printed:\n%s", printed.String())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = cluster.Await(ctx, "the reference server to answer", func(ctx context.Context) error {
		select {
		case <-ended:
			return fmt.Errorf("it has ended: %w", end)
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL+"/v1/config", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		if err := res.Body.Close(); err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("/v1/config: %s", res.Status)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
