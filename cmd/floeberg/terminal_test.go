package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/app"
	"github.com/floeberg/floeberg/internal/config"
	"github.com/floeberg/floeberg/test/output"
	"github.com/floeberg/floeberg/test/port"
)

var rewrite = flag.Bool("rewrite", false, "write what the commands print into testdata")

// served is a node in this process.
type served struct {
	url, root string
}

// serveInProcess starts one, with further settings as names and values.
func serveInProcess(t *testing.T, settings ...string) *served {
	t.Helper()
	n := &served{root: filepath.Join(t.TempDir(), "warehouse")}
	flags := map[string]string{
		"node-id": "n1", "data-dir": filepath.Join(t.TempDir(), "data"), "warehouse": "file://" + n.root, "bootstrap-key": testKey,
		"http-listen": "127.0.0.1:0", "cluster-listen": "127.0.0.1:0", "gossip-listen": "127.0.0.1:0",
	}
	for i := 0; i < len(settings); i += 2 {
		flags[settings[i]] = settings[i+1]
	}
	cfg, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	log := &output.Buffer{}
	a, err := app.New(app.Options{Config: cfg, Version: "test", Log: log, Out: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Errorf("stopping: %v", err)
		}
		if t.Failed() {
			t.Logf("the node's log:\n%s", log)
		}
	})
	n.url = a.URL()
	await(t, "readiness", func() bool {
		code, _ := request(t, testKey, http.MethodGet, n.url+"/ready", "")
		return code == http.StatusOK
	})
	return n
}

// post sends what a client would send.
func (n *served) post(t *testing.T, path, body string) {
	t.Helper()
	if code, answer := request(t, testKey, http.MethodPost, n.url+path, body); code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, code, answer)
	}
}

// command runs a command against the node.
func (n *served) command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return command(t, append(args, "--addr", n.url, "--key", testKey)...)
}

// run runs a command against the node that must end with an exit code.
func (n *served) run(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	code, stdout, stderr := n.command(t, args...)
	if code != want {
		t.Fatalf("%v: exit code %d, %q %q", args, code, stdout, stderr)
	}
	return stdout, stderr
}

// asJSON runs a command against the node that must succeed, and reads what it prints.
func (n *served) asJSON(t *testing.T, into any, args ...string) {
	t.Helper()
	stdout, _ := n.run(t, exitDone, append(args, "--output", "json")...)
	if err := json.Unmarshal([]byte(stdout), into); err != nil {
		t.Fatalf("%v: %v: %q", args, err, stdout)
	}
}

const ordersSchema = `{"type":"struct","fields":[
	{"id":1,"name":"id","type":"long","required":true,"doc":"one per order"},
	{"id":2,"name":"at","type":"timestamptz","required":false},
	{"id":3,"name":"lines","required":false,"type":{"type":"list","element-id":4,"element-required":true,"element":
		{"type":"struct","fields":[{"id":5,"name":"item","type":"string","required":true},{"id":6,"name":"price","type":"decimal(9,2)","required":false}]}}},
	{"id":7,"name":"tags","required":false,"type":{"type":"map","key-id":8,"key":"string","value-id":9,"value":"int","value-required":false}}]}`

// fill makes what the transcripts look at.
func (n *served) fill(t *testing.T) {
	t.Helper()
	for _, path := range []string{`["sales"]`, `["sales","eu.north"]`, `["sales","eu.north","old one"]`, `["empty"]`} {
		n.post(t, "/v1/default/namespaces", `{"namespace":`+path+`,"properties":{"owner":"nansen"}}`)
	}
	north := "/v1/default/namespaces/sales%1Feu.north/tables"
	n.post(t, north, `{"name":"orders","schema":`+ordersSchema+`,
		"partition-spec":{"fields":[{"source-id":2,"field-id":1000,"name":"at_day","transform":"day"},{"source-id":1,"field-id":1001,"name":"id","transform":"identity"}]},
		"write-order":{"order-id":1,"fields":[{"source-id":1,"transform":"bucket[4]","direction":"asc","null-order":"nulls-first"}]},
		"properties":{"note":"two\nlines\u001b[31m","write.format.default":"parquet"}}`)
	n.post(t, north, `{"name":"plain","schema":{"type":"struct","fields":[{"id":1,"name":"x","type":"int","required":false}]}}`)
	n.post(t, "/v1/default/namespaces/sales%1Feu.north/tables/orders", `{"requirements":[],"updates":[
		{"action":"add-snapshot","snapshot":{"snapshot-id":3051729675574597004,"sequence-number":1,"timestamp-ms":`+
		fmt.Sprint(time.Now().UnixMilli())+`,"manifest-list":"file://`+n.root+`/m.avro","summary":{"operation":"append","added-records":"3"},"schema-id":0}},
		{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":3051729675574597004},
		{"action":"set-snapshot-ref","ref-name":"v1","type":"tag","snapshot-id":3051729675574597004}]}`)
}

const latestSQL = "SELECT id, at\nFROM orders\n\tWHERE at > current_date"

// fillViews makes a view of two versions, the second in two dialects.
func (n *served) fillViews(t *testing.T) {
	t.Helper()
	sql, err := json.Marshal(latestSQL)
	if err != nil {
		t.Fatal(err)
	}
	version := func(id int, representations string) string {
		return fmt.Sprintf(`{"version-id":%d,"timestamp-ms":%d,"schema-id":0,"summary":{"engine-name":"spark"},"default-catalog":"lake",
			"default-namespace":["sales","eu.north"],"representations":[%s]}`, id, time.Now().UnixMilli(), representations)
	}
	const schema = `{"type":"struct","schema-id":0,"fields":[{"id":1,"name":"id","type":"long","required":true},{"id":2,"name":"at","type":"timestamptz","required":false}]}`
	n.post(t, "/v1/default/namespaces/sales/views", `{"name":"latest","schema":`+schema+`,"properties":{"comment":"of today"},"view-version":`+
		version(1, `{"type":"sql","sql":"SELECT 1","dialect":"spark"}`)+`}`)
	n.post(t, "/v1/default/namespaces/sales/views/latest", `{"requirements":[],"updates":[{"action":"add-view-version","view-version":`+
		version(2, `{"type":"sql","sql":`+string(sql)+`,"dialect":"spark"},{"type":"sql","sql":"SELECT * FROM orders","dialect":"trino"}`)+
		`},{"action":"set-current-view-version","view-version-id":-1}]}`)
}

// spoil makes tables whose metadata files are not what the catalog has: one is
// changed, one is gone.
func (n *served) spoil(t *testing.T) {
	t.Helper()
	n.post(t, "/v1/default/namespaces", `{"namespace":["wrecks"]}`)
	for _, name := range []string{"changed", "lost", "sound"} {
		body := `{"name":"` + name + `","properties":{"owner":"nansen"},"schema":{"type":"struct","fields":[{"id":1,"name":"x","type":"int","required":false}]}}`
		n.post(t, "/v1/default/namespaces/wrecks/tables", body)
	}
	change(t, n.file(t, "changed"), func(text string) string { return strings.Replace(text, "nansen", "amundsen", 1) })
	if err := os.Remove(n.file(t, "lost")); err != nil {
		t.Fatal(err)
	}
}

// file is where a wreck's metadata lies.
func (n *served) file(t *testing.T, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(n.root, "wrecks", name+"-*", "metadata", "*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	return found[0]
}

func change(t *testing.T, path string, to func(string) string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(to(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
}

// unlike are the parts of an answer that are others each time, and what stands
// for them; in columns, of the same width.
var unlike = []struct {
	pattern *regexp.Regexp
	as      string
}{
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "uuid-uuid-uuid-uuid-uuid-uuid-uuid-x"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "2026-01-02T03:04:05Z"},
	{regexp.MustCompile(`-[0-9a-f]{32}`), "-id"},
	{regexp.MustCompile(`(generation"?:? +)\d+`), "${1}5"},
}

func (n *served) likened(text string) string {
	text = strings.ReplaceAll(text, n.root, "/warehouse")
	for _, u := range unlike {
		text = u.pattern.ReplaceAllString(text, u.as)
	}
	return text
}

// words splits a command line as a shell does, as far as transcripts need it.
func words(line string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`'([^']*)'|(\S+)`).FindAllStringSubmatch(line, -1) {
		out = append(out, m[1]+m[2])
	}
	return out
}

// Transcripts are command lines after "$ ", each with all that it prints and its
// exit code where that is not 0.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	n := serveInProcess(t)
	n.fill(t)
	n.fillViews(t)
	n.spoil(t)
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for line := range strings.Lines(string(want)) {
				args, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "$ floeberg ")
				if !ok {
					continue
				}
				code, stdout, stderr := n.command(t, words(args)...)
				fmt.Fprintf(&got, "%s%s%s", line, n.likened(stdout), n.likened(stderr))
				if code != exitDone {
					fmt.Fprintf(&got, "exit code %d\n", code)
				}
				got.WriteString("\n")
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("run with -rewrite if this is meant:\n%s", diff)
			}
		})
	}
}

func TestOutputAsJSON(t *testing.T) {
	t.Parallel()
	n := serveInProcess(t)
	n.fill(t)
	n.fillViews(t)
	for _, args := range [][]string{
		{"namespace", "list"}, {"namespace", "list", "--recursive"}, {"namespace", "list", "empty"}, {"namespace", "show", "sales"},
		{"table", "list", `sales."eu.north"`}, {"table", "list", "empty"}, {"table", "show", `sales."eu.north".orders`},
		{"view", "list", "sales"}, {"view", "show", "sales.latest"}, {"warehouse", "list"}, {"warehouse", "show", "default"},
	} {
		code, stdout, stderr := n.command(t, append(args, "--output", "json")...)
		var value any
		dec := json.NewDecoder(strings.NewReader(stdout))
		if err := dec.Decode(&value); err != nil || code != exitDone || stderr != "" {
			t.Errorf("%v: exit code %d, %v, %q %q", args, code, err, stdout, stderr)
			continue
		}
		if dec.More() || value == nil {
			t.Errorf("%v: not one value: %q", args, stdout)
		}
		for _, name := range regexp.MustCompile(`(?m)^ *"([^"]*)":`).FindAllStringSubmatch(stdout, -1) {
			if !regexp.MustCompile(`^[a-z0-9_.-]+$`).MatchString(name[1]) {
				t.Errorf("%v: field %q", args, name[1])
			}
		}
	}
	_, stdout, _ := n.command(t, "table", "show", `sales."eu.north".orders`, "--output", "json")
	var got struct {
		UUID            string
		CurrentSnapshot struct{ ID json.Number } `json:"current_snapshot"`
		Columns         []struct{ Name, Type string }
		PartitionSpec   []map[string]string `json:"partition_spec"`
		SnapshotCount   int                 `json:"snapshot_count"`
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.UUID) != 36 || got.CurrentSnapshot.ID != "3051729675574597004" || len(got.Columns) != 4 || got.SnapshotCount != 1 {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff(map[string]string{"name": "at_day", "transform": "day", "source": "at"}, got.PartitionSpec[0]); diff != "" {
		t.Error(diff)
	}
}

func TestAsksTheNextNode(t *testing.T) {
	t.Parallel()
	n := serveInProcess(t)
	dead := "http://" + port.Address(t)
	code, stdout, stderr := command(t, "namespace", "list", "--addr", dead+","+n.url, "--key", testKey)
	if code != exitDone || stdout != "NAMESPACE\n" || stderr != "" {
		t.Errorf("exit code %d, %q %q", code, stdout, stderr)
	}
}

// Each node keeps the reports that it got, so all are asked, and one that is gone
// is no failure.
func TestReportsOfAllNodes(t *testing.T) {
	t.Parallel()
	n := serveInProcess(t)
	n.spoil(t)
	const scan = `{"report-type":"scan-report","table-name":"sound","snapshot-id":7,"filter":{"type":"true"},"schema-id":0,"projected-field-ids":[],"projected-field-names":[],
		"metrics":{"total-planning-duration":{"count":1,"time-unit":"nanoseconds","total-duration":2500000},"result-data-files":{"unit":"count","value":3},"skipped-data-files":{"unit":"count","value":0}}}`
	if code, answer := request(t, testKey, http.MethodPost, n.url+"/v1/default/namespaces/wrecks/tables/sound/metrics", scan); code != http.StatusNoContent {
		t.Fatalf("%d %s", code, answer)
	}
	dead := "http://" + port.Address(t)
	args := []string{"table", "reports", "wrecks.sound", "--addr", dead + "," + n.url, "--key", testKey}
	code, stdout, stderr := command(t, args...)
	if code != exitDone || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, dead) {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	last := strings.Fields(lastLine(stdout))
	if diff := cmp.Diff([]string{n.url, "scan", "7", "total-planning-duration=2.5ms", "result-data-files=3"}, last[1:]); diff != "" {
		t.Error(diff)
	}
	_, stdout, _ = command(t, append(args, "--output", "json")...)
	var got []struct {
		Address string
		Sent    struct {
			TableName string `json:"table-name"`
		}
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || len(got) != 1 || got[0].Address != n.url || got[0].Sent.TableName != "sound" {
		t.Errorf("%v, %s", err, stdout)
	}
	for _, refused := range [][]string{{"table", "reports", "wrecks.nothing"}, {"table", "reports", "wrecks.sound", "--addr", dead}} {
		if code, stdout, stderr := command(t, append(args[3:len(args):len(args)], refused...)...); code != exitFailed || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: exit code %d, %q %q", refused, code, stdout, stderr)
		}
	}
}

func TestRemoteFailuresAreOneLine(t *testing.T) {
	t.Parallel()
	n := serveInProcess(t)
	dead := "http://" + port.Address(t)
	for name, tc := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"nobody there":        {[]string{"namespace", "list", "--addr", dead}, exitFailed, []string{dead, "refused"}},
		"nobody at two":       {[]string{"namespace", "list", "--addr", dead + "," + dead + "/x"}, exitFailed, []string{dead + ":", dead + "/x:"}},
		"wrong key":           {[]string{"namespace", "list", "--addr", n.url, "--key", "fb_wrong"}, exitFailed, []string{"--key", keyEnv}},
		"no key":              {[]string{"namespace", "list", "--addr", n.url}, exitFailed, []string{"--key"}},
		"no floeberg":         {[]string{"namespace", "list", "--addr", n.url + "/ui", "--key", testKey}, exitFailed, []string{n.url + "/ui does not know", "--addr"}},
		"an empty node":       {[]string{"cluster", "remove", "", "--yes"}, exitUsage, []string{"empty", "--help"}},
		"an empty snapshot":   {[]string{"backup", "show", ""}, exitUsage, []string{"empty", "--help"}},
		"an empty successor":  {[]string{"cluster", "transfer", ""}, exitUsage, []string{"empty", "--help"}},
		"join no address":     {[]string{"cluster", "join", "10.0.0.1:8183,node"}, exitUsage, []string{`"node"`, "10.0.0.1:8183"}},
		"unknown warehouse":   {[]string{"namespace", "list", "--addr", n.url, "--key", testKey, "--warehouse", "nowhere"}, exitFailed, []string{"nowhere"}},
		"unknown table":       {[]string{"table", "show", "a.t", "--addr", n.url, "--key", testKey}, exitFailed, []string{"a.t"}},
		"unknown namespace":   {[]string{"table", "list", "a.b", "--addr", n.url, "--key", testKey}, exitFailed, []string{"a.b"}},
		"no time":             {[]string{"namespace", "list", "--addr", n.url, "--key", testKey, "--timeout", "1ns"}, exitFailed, []string{"no answer in time"}},
		"address of no kind":  {[]string{"namespace", "list", "--addr", "ftp://x"}, exitUsage, []string{"--addr", "ftp://x"}},
		"an empty address":    {[]string{"namespace", "list", "--addr", n.url + ","}, exitUsage, []string{"--addr"}},
		"a negative timeout":  {[]string{"namespace", "list", "--timeout", "-1s"}, exitUsage, []string{"--timeout"}},
		"an unknown output":   {[]string{"namespace", "list", "--output", "xml"}, exitUsage, []string{"--output", "xml"}},
		"too many arguments":  {[]string{"namespace", "list", "a", "b"}, exitUsage, []string{`"b"`}},
		"no argument":         {[]string{"table", "show"}, exitUsage, []string{"a table", "--help"}},
		"a name of one level": {[]string{"table", "show", "t"}, exitUsage, []string{"dot", "t"}},
		"an open quote":       {[]string{"table", "show", `a."b.t`}, exitUsage, []string{"quote", `a."b.t`}},
		"an empty level":      {[]string{"table", "list", "a..b"}, exitUsage, []string{"empty level"}},
		"verify nothing":      {[]string{"table", "verify"}, exitUsage, []string{"--namespace", "--all"}},
		"verify too much":     {[]string{"table", "verify", "a.t", "--all"}, exitUsage, []string{"one of them"}},
		"rebuild unasked":     {[]string{"table", "rebuild", "a.t"}, exitUsage, []string{"--yes"}},
		"rebuild nothing":     {[]string{"table", "rebuild", "a.t", "--yes", "--addr", n.url, "--key", testKey}, exitFailed, []string{"a.t"}},
		"an unknown command":  {[]string{"table", "melt"}, exitUsage, []string{"melt"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := command(t, tc.args...)
			if code != tc.code || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "floeberg: ") {
				t.Errorf("exit code %d, want %d: %q %q", code, tc.code, stdout, stderr)
			}
			for _, says := range tc.says {
				if !strings.Contains(stderr, says) {
					t.Errorf("it does not say %q: %q", says, stderr)
				}
			}
		})
	}
}

// Address and key come from the environment too; a flag goes before it.
func TestRemoteEnvironment(t *testing.T) {
	n := serveInProcess(t)
	t.Setenv(addrEnv, n.url)
	t.Setenv(keyEnv, testKey)
	if code, _, stderr := command(t, "namespace", "list"); code != exitDone {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr := command(t, "namespace", "list", "--key", "fb_wrong"); code != exitFailed {
		t.Errorf("the flag does not count: exit code %d, %s", code, stderr)
	}
	t.Setenv(addrEnv, "ftp://x")
	if code, _, stderr := command(t, "namespace", "list"); code != exitUsage || !strings.Contains(stderr, addrEnv) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
