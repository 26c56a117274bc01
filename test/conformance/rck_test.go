package conformance_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/haproxy"
	"github.com/floeberg/floeberg/test/output"
	"github.com/floeberg/floeberg/test/process"
)

// TestRCK runs Iceberg's REST Compatibility Kit against a follower: all of it
// passes.
func TestRCK(t *testing.T) {
	k := openKit(t)
	c := cluster.Start(t, k.options("--verify-metadata"))
	k.run(t, c.Nodes[c.Follower(t)].URL, kitOutcome{})
}

// TestRCKWithoutVerifyMetadata runs it with the setting that a node has by
// default: a table whose metadata file was lost is still served, from the
// replicated state. The kit has a test that wants an error there.
func TestRCKWithoutVerifyMetadata(t *testing.T) {
	k := openKit(t)
	c := cluster.Start(t, k.options())
	k.run(t, c.Nodes[c.Follower(t)].URL, kitOutcome{Failed: []string{"testLoadTableWithMissingMetadataFile"}})
}

// TestRCKWhileLeadersDie runs it through HAProxy, which spreads the requests over
// all nodes, while one leader after the other is killed, and with it the
// connections of the requests that it has in hand. No test of the kit notices.
func TestRCKWhileLeadersDie(t *testing.T) {
	k := openKit(t)
	c := cluster.Start(t, k.options("--verify-metadata"))
	var nodes [3]string
	for i, url := range c.URLs() {
		nodes[i] = strings.TrimPrefix(url, "http://")
	}
	proxy := haproxy.Start(t, nodes)
	before := term(t, c)
	whileLeadersDie(t, c, time.Second/2, func() { k.run(t, proxy.URL, kitOutcome{}) })
	served := proxy.Served()
	t.Logf("%d elections; requests by node: %v; given to another node than first meant: %d", term(t, c)-before, served, proxy.Redispatched())
	if term(t, c)-before < 5 {
		t.Error("fewer than five elections while the kit ran")
	}
	if proxy.Redispatched() == 0 {
		t.Error("no request was meant for a node that was gone")
	}
	for _, name := range []string{"node1", "node2", "node3"} {
		if served[name] == 0 {
			t.Errorf("%s served nothing: %v", name, served)
		}
	}
}

// term is the Raft term: each election adds at least one.
func term(t *testing.T, c *cluster.Cluster) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	metrics, err := c.Nodes[c.MustLeader(t)].Metrics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return int(metrics["floeberg_raft_term"])
}

// What the kit consists of, in the version that rck/pom.xml names. Ten of its
// tests don't run against any catalog: five are about the empty namespace, two
// about names with slashes and two about nested namespaces, for which it has no
// switch, and one is switched off.
const (
	kitTests  = 157
	kitNotRun = 10
)

// kitPatience is how long a run may take. It needs about half a minute.
const kitPatience = 5 * time.Minute

// kit is the kit, for one run.
type kit struct {
	jars string
	// temp is where the kit makes temporary folders, some of which views are to
	// be placed in.
	temp string
}

// kitFolders are where the kit wants tables to be, whatever the warehouse: it
// can't be told other places.
var kitFolders = []string{"/tmp/ns", "/tmp/newdb"}

// openKit gives the kit to the test, alone on this machine, and clears away in
// the end what was written to the kit's folders.
func openKit(t *testing.T) kit {
	t.Helper()
	k := kit{jars: tool(t, "maven.sh", "rck/pom.xml"), temp: t.TempDir()}
	// Other versions of the kit want the same folders.
	lock, err := os.OpenFile(filepath.Join(filepath.Dir(k.jars), "kit-running.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Close() }) // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatalf("waiting for other runs of the kit: %v", err)
	}
	foreign := map[string]bool{}
	for _, path := range inKitFolders(t) {
		foreign[path] = true
	}
	t.Cleanup(func() {
		left := inKitFolders(t)
		slices.Reverse(left) // what is in a folder comes before it
		for _, path := range left {
			if foreign[path] {
				continue
			}
			if err := os.Remove(path); err != nil {
				t.Errorf("clearing away what the kit wrote: %v", err)
			}
		}
	})
	return k
}

// inKitFolders is everything in the kit's folders, with them.
func inKitFolders(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, folder := range kitFolders {
		err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil
			}
			paths = append(paths, path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// options is how to start nodes for the kit.
func (k kit) options(args ...string) cluster.Options {
	roots := []string{"file://" + k.temp}
	for _, folder := range kitFolders {
		roots = append(roots, "file://"+folder)
	}
	return cluster.Options{Args: append([]string{"--allow-locations", strings.Join(roots, ",")}, args...)}
}

// kitOutcome is how the tests of a run ended.
type kitOutcome struct {
	Found, OK, NotRun int
	Failed            []string
}

// run runs the whole kit against a catalog that is empty, and compares the tests
// that failed. The numbers of the others follow.
func (k kit) run(t *testing.T, url string, want kitOutcome) {
	t.Helper()
	reports := t.TempDir()
	java := exec.Command("java", "-Xmx1g", "-XX:-UsePerfData", "-Djava.io.tmpdir="+k.temp,
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
		// What follows are properties of the catalog's client and of the kit.
		"-Drck.local=false",
		"-Drck.requires-namespace-create=true",
		"-Drck.supports-names-with-dot=true",
		"-Duri="+url, "-Dwarehouse=default", "-Dtoken="+cluster.Key,
		"-cp", filepath.Join(k.jars, "*"),
		"org.junit.platform.console.ConsoleLauncher", "execute",
		"--disable-banner", "--disable-ansi-colors", "--details=tree",
		"--include-engine=junit-jupiter", "--include-classname=.*",
		"--reports-dir="+reports,
		"--select-class=org.apache.iceberg.rest.RESTCompatibilityKitCatalogTests",
		"--select-class=org.apache.iceberg.rest.RESTCompatibilityKitViewCatalogTests",
	)
	var out output.Buffer
	java.Stdout, java.Stderr = &out, &out
	began := time.Now()
	if err := process.Start(java); err != nil {
		t.Fatalf("starting the kit: %v", err)
	}
	overdue := time.AfterFunc(kitPatience, func() { _ = java.Process.Kill() })
	defer overdue.Stop()
	// It ends with 1 where tests failed, which its report tells better.
	if err := java.Wait(); err != nil && java.ProcessState.ExitCode() != 1 {
		t.Fatalf("the kit: %v after %s\n%s", err, time.Since(began).Round(time.Second), out.String())
	}
	got, reasons, err := readKitReport(filepath.Join(reports, "TEST-junit-jupiter.xml"))
	if err != nil {
		t.Fatalf("the kit's report: %v\n%s", err, out.String())
	}
	t.Logf("%d found, %d ok, %d failed, %d not run, in %s", got.Found, got.OK, len(got.Failed), got.NotRun, time.Since(began).Round(time.Second))
	want.Found, want.NotRun = kitTests, kitNotRun
	want.OK = want.Found - want.NotRun - len(want.Failed)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("how the kit ended (-want +got):\n%s", diff)
		for _, name := range got.Failed {
			if !slices.Contains(want.Failed, name) {
				t.Logf("%s: %s", name, reasons[name])
			}
		}
	}
}

// readKitReport counts a JUnit report, and has the reason for each failure.
func readKitReport(file string) (kitOutcome, map[string]string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return kitOutcome{}, nil, err
	}
	var report struct {
		Cases []struct {
			Name    string    `xml:"name,attr"`
			Failure *string   `xml:"failure"`
			Error   *string   `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(raw, &report); err != nil {
		return kitOutcome{}, nil, fmt.Errorf("%s: %w", file, err)
	}
	o, reasons := kitOutcome{Found: len(report.Cases)}, map[string]string{}
	for _, c := range report.Cases {
		name, _, _ := strings.Cut(c.Name, "(")
		switch {
		case c.Failure != nil:
			o.Failed, reasons[name] = append(o.Failed, name), *c.Failure
		case c.Error != nil:
			o.Failed, reasons[name] = append(o.Failed, name), *c.Error
		case c.Skipped != nil:
			o.NotRun++
		default:
			o.OK++
		}
	}
	slices.Sort(o.Failed)
	return o, reasons, nil
}
