package iceberg_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/iceberg"
)

const viewSchema = `{"type":"struct","schema-id":7,"fields":[{"id":1,"name":"a","required":false,"type":"long"}]}`

func viewVersion(id, schemaID int, at int64, sql string, dialects ...string) string {
	var reps []string
	for _, d := range dialects {
		reps = append(reps, fmt.Sprintf(`{"type":"sql","sql":%q,"dialect":%q}`, sql, d))
	}
	return fmt.Sprintf(`{"version-id":%d,"timestamp-ms":%d,"schema-id":%d,"summary":{"engine-name":"x"},"default-namespace":["n"],"representations":[%s]}`,
		id, at, schemaID, strings.Join(reps, ","))
}

func newView(t testing.TB, properties map[string]string) *iceberg.View {
	t.Helper()
	view, err := iceberg.NewView(testEnv(testNow), iceberg.ViewSpec{
		Location: "s3://b/v/", Schema: []byte(viewSchema), Version: []byte(viewVersion(5, 3, testNow, "select 1", "spark")), Properties: properties,
	})
	if err != nil {
		t.Fatal(err)
	}
	checkViewReadsBack(t, view)
	return view
}

func commitView(t testing.TB, now int64, base *iceberg.View, updates string) (*iceberg.View, bool, error) {
	t.Helper()
	ups, err := iceberg.ParseViewUpdates([]byte(updates))
	if err != nil {
		return nil, false, err
	}
	before := string(base.Document())
	view, changed, err := iceberg.ApplyView(testEnv(now), base, nil, ups)
	if string(base.Document()) != before {
		t.Errorf("the base changed under %s", updates)
	}
	if err == nil {
		checkViewReadsBack(t, view)
	}
	return view, changed, err
}

func replaceView(version string) string {
	return `[{"action":"add-view-version","view-version":` + version + `},{"action":"set-current-view-version","view-version-id":-1}]`
}

func TestNewView(t *testing.T) {
	t.Parallel()
	want := `{"view-uuid":"5f0a0000-0000-4000-8000-000000000001","format-version":1,"location":"s3://b/v","properties":{"p":"q"},` +
		`"schemas":[{"type":"struct","schema-id":0,"fields":[{"id":1,"name":"a","required":false,"type":"long"}]}],"current-version-id":1,` +
		`"versions":[{"version-id":1,"timestamp-ms":1700000000000,"schema-id":0,"summary":{"engine-name":"x"},"default-namespace":["n"],` +
		`"representations":[{"type":"sql","sql":"select 1","dialect":"spark"}]}],"version-log":[{"timestamp-ms":1700000000000,"version-id":1}]}`
	if d := cmp.Diff(want, string(newView(t, map[string]string{"p": "q"}).Document())); d != "" {
		t.Errorf("document (-want +got):\n%s", d)
	}
	for name, spec := range map[string]iceberg.ViewSpec{
		"no schema":   {Location: "x", Version: []byte(viewVersion(1, 0, 1, "s", "d"))},
		"no version":  {Location: "x", Schema: []byte(viewSchema)},
		"no location": {Schema: []byte(viewSchema), Version: []byte(viewVersion(1, 0, 1, "s", "d"))},
		"no query":    {Location: "x", Schema: []byte(viewSchema), Version: []byte(viewVersion(1, 0, 1, "s"))},
		"no summary":  {Location: "x", Schema: []byte(viewSchema), Version: []byte(`{"version-id":1,"timestamp-ms":1,"schema-id":0,"default-namespace":[],"representations":[]}`)},
	} {
		if _, err := iceberg.NewView(testEnv(testNow), spec); !errors.Is(err, iceberg.ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestViewHistoryIsTrimmed(t *testing.T) {
	t.Parallel()
	view := newView(t, map[string]string{"version.history.num-entries": "3"})
	for i := range 6 {
		var err error
		if view, _, err = commitView(t, testNow, view, replaceView(viewVersion(1, 0, testNow+int64(i), fmt.Sprintf("select %d", i+10), "spark"))); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]int{5, 6, 7}, view.VersionIDs()); d != "" {
		t.Errorf("versions (-want +got):\n%s", d)
	}
	log := decode(t, view.Document())["version-log"].([]any)
	if len(log) != 3 {
		t.Errorf("version log %v", log)
	}
	// The current version stays, however old it is.
	view, _, err := commitView(t, testNow+9, view, `[{"action":"set-current-view-version","view-version-id":5}]`)
	if err != nil {
		t.Fatal(err)
	}
	view, _, err = commitView(t, testNow+9, view, `[{"action":"add-view-version","view-version":`+viewVersion(1, 0, testNow, "select new", "spark")+`}]`)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{5, 7, 8}, view.VersionIDs()); d != "" || view.CurrentVersionID() != 5 {
		t.Errorf("versions (-want +got):\n%s\ncurrent %d", d, view.CurrentVersionID())
	}
	_, _, err = commitView(t, testNow, view, `[{"action":"set-properties","updates":{"version.history.num-entries":"0"}}]`)
	if !errors.Is(err, iceberg.ErrInvalid) {
		t.Errorf("error %v", err)
	}
	if _, _, err = commitView(t, testNow, view, `[{"action":"set-properties","updates":{"version.history.num-entries":"few"}}]`); err != nil {
		t.Errorf("a size that is no number blocks the view: %v", err)
	}
}

func TestViewVersionsAreReused(t *testing.T) {
	t.Parallel()
	first := viewVersion(1, 0, testNow, "select 1", "spark")
	view := newView(t, nil)
	_, changed, err := commitView(t, testNow+5, view, replaceView(first))
	if err != nil || changed {
		t.Errorf("changed %v, error %v", changed, err)
	}
	view, _, err = commitView(t, testNow+5, view, replaceView(viewVersion(1, 0, testNow+1, "select 2", "spark")))
	if err != nil {
		t.Fatal(err)
	}
	// Also by way of a schema that is added again.
	view, _, err = commitView(t, testNow+7, view, `[{"action":"add-schema","schema":`+viewSchema+`},`+
		strings.Replace(replaceView(first), `"schema-id":0`, `"schema-id":-1`, 1)[1:])
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{1, 2}, view.VersionIDs()); d != "" || view.CurrentVersionID() != 1 {
		t.Errorf("versions (-want +got):\n%s\ncurrent %d", d, view.CurrentVersionID())
	}
	log := decode(t, view.Document())["version-log"].([]any)
	if at := number(t, log[len(log)-1].(map[string]any)["timestamp-ms"]); at != testNow+7 {
		t.Errorf("became current again at %d, want %d", at, testNow+7)
	}
	if sql, ok := view.CurrentSQL("SPARK"); !ok || sql != "select 1" {
		t.Errorf("current SQL %q", sql)
	}
}

func TestViewCommitsRefused(t *testing.T) {
	t.Parallel()
	view := newView(t, nil)
	for updates, c := range map[string]struct {
		class error
		text  string
	}{
		replaceView(viewVersion(1, 0, 1, "s", "trino")):                                                    {iceberg.ErrInvalid, "Previous dialects: [spark]\nNew dialects: [trino]"},
		replaceView(viewVersion(1, 0, 1, "s", "spark", "SPARK")):                                           {iceberg.ErrInvalid, "multiple queries for dialect spark"},
		replaceView(viewVersion(1, 9, 1, "s", "spark")):                                                    {iceberg.ErrInvalid, "unknown schema: 9"},
		replaceView(viewVersion(1, -1, 1, "s", "spark")):                                                   {iceberg.ErrInvalid, "no schema has been added"},
		`[{"action":"set-current-view-version","view-version-id":9}]`:                                      {iceberg.ErrInvalid, "unknown version: 9"},
		`[{"action":"set-current-view-version","view-version-id":-1}]`:                                     {iceberg.ErrInvalid, "no current version id"},
		`[{"action":"assign-uuid","uuid":"x"}]`:                                                            {iceberg.ErrInvalid, "Cannot reassign uuid"},
		`[{"action":"upgrade-format-version","format-version":2}]`:                                         {iceberg.ErrUnsupported, "Unsupported format version: 2"},
		`[{"action":"upgrade-format-version","format-version":0}]`:                                         {iceberg.ErrInvalid, "Cannot downgrade"},
		`[{"action":"set-current-schema","schema-id":0}]`:                                                  {iceberg.ErrInvalid, "Cannot apply update set-current-schema to a view"},
		`[{"action":"add-view-version"}]`:                                                                  {iceberg.ErrInvalid, "Cannot parse missing field: view-version"},
		`[{"action":"add-schema"}]`:                                                                        {iceberg.ErrInvalid, "Cannot parse missing field: schema"},
		replaceView(strings.Replace(viewVersion(1, 0, 1, "s", "spark"), `"type":"sql"`, `"type":"ir"`, 1)): {iceberg.ErrUnsupported, "unsupported view representation: ir"},
	} {
		_, _, err := commitView(t, testNow, view, updates)
		if !errors.Is(err, c.class) || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("error %v, want %q: %s", err, c.text, updates)
		}
	}
	ups, err := iceberg.ParseUpdates([]byte(replaceView(viewVersion(1, 0, 1, "s", "spark"))))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := iceberg.Apply(testEnv(testNow), newTable(t, "2", nil), nil, ups); !errors.Is(err, iceberg.ErrInvalid) {
		t.Errorf("a table took a view's update: %v", err)
	}
}

func TestViewRequirements(t *testing.T) {
	t.Parallel()
	view := newView(t, nil)
	for _, c := range []struct {
		raw, text string
		class     error
	}{
		{`[{"type":"assert-view-uuid","uuid":"5F0A0000-0000-4000-8000-000000000001"}]`, "", nil},
		{`[{"type":"assert-view-uuid","uuid":"x"}]`, "Requirement failed: view UUID does not match: expected 5f0a0000-0000-4000-8000-000000000001 != x", iceberg.ErrRequirementFailed},
		{`[{"type":"assert-create"}]`, "Requirement failed: view already exists", iceberg.ErrRequirementFailed},
		{`[{"type":"assert-table-uuid","uuid":"x"}]`, "Cannot validate assert-table-uuid against a view", iceberg.ErrInvalid},
	} {
		reqs, err := iceberg.ParseViewRequirements([]byte(c.raw))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = iceberg.ApplyView(testEnv(testNow), view, reqs, nil)
		if c.class == nil && err != nil || c.class != nil && (!errors.Is(err, c.class) || err.Error() != c.text) {
			t.Errorf("error %v, want %q", err, c.text)
		}
	}
}

func TestViewVersionsOfOneCommitStay(t *testing.T) {
	t.Parallel()
	view := newView(t, map[string]string{"version.history.num-entries": "1"})
	add := func(sql string) string {
		return `{"action":"add-view-version","view-version":` + viewVersion(1, 0, testNow, sql, "spark") + `}`
	}
	view, _, err := commitView(t, testNow, view, `[`+add("a")+`,`+add("b")+`]`)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{1, 2, 3}, view.VersionIDs()); d != "" {
		t.Errorf("versions (-want +got):\n%s", d)
	}
	if view.UUID() == "" || view.Location() != "s3://b/v" || view.CurrentTimestampMs() != testNow || view.Properties()["version.history.num-entries"] != "1" {
		t.Errorf("view %s", view.Document())
	}
	if _, ok := view.Property("nope"); ok {
		t.Error("found a property named nope")
	}
	if sql, ok := view.CurrentSQL("trino"); ok {
		t.Errorf("found SQL for trino: %s", sql)
	}
}
