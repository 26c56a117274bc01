package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/jsonbody"
	"github.com/floeberg/floeberg/api/rest/wire"
)

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                                 "",
		-time.Minute:                      "",
		time.Millisecond:                  "",
		time.Second:                       "PT1S",
		30 * time.Minute:                  "PT30M",
		time.Hour:                         "PT1H",
		90 * time.Minute:                  "PT1H30M",
		25*time.Hour + 61*time.Second + 5: "PT25H1M1S",
	} {
		if got := wire.Duration(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

type tableAnswer = func(location string, metadata, restrictions []byte) ([][]byte, error)

func unrestricted(answer tableAnswer) func(string, []byte) ([][]byte, error) {
	return func(location string, metadata []byte) ([][]byte, error) { return answer(location, metadata, nil) }
}

func restricted(answer tableAnswer) func(string, []byte) ([][]byte, error) {
	return func(location string, metadata []byte) ([][]byte, error) {
		return answer(location, metadata, []byte(`{"a":1}`))
	}
}

// The document goes out byte for byte, whatever is in it.
func TestSplicedTable(t *testing.T) {
	t.Parallel()
	doc := []byte(`{"format-version":2,"initial":1.0,"unknown":{"a":[1, 2]}}`)
	const location = `s3://b/it's "quoted" <&> \ ü.metadata.json`
	for name, tc := range map[string]struct {
		make     func(string, []byte) ([][]byte, error)
		location string
		fields   int
	}{
		"load":              {unrestricted(wire.LoadTable), location, 3},
		"stage":             {unrestricted(wire.LoadTable), "", 2},
		"commit":            {unrestricted(wire.CommittedTable), location, 2},
		"last":              {unrestricted(wire.UnregisteredTable), location, 2},
		"restricted load":   {restricted(wire.LoadTable), location, 4},
		"restricted stage":  {restricted(wire.LoadTable), "", 3},
		"restricted commit": {restricted(wire.CommittedTable), location, 3},
		"restricted last":   {restricted(wire.UnregisteredTable), location, 3},
		"view":              {wire.LoadView, location, 3},
	} {
		pieces, err := tc.make(tc.location, doc)
		if err != nil {
			t.Fatal(err)
		}
		body := bytes.Join(pieces, nil)
		var got map[string]json.RawMessage
		if err := json.Unmarshal(body, &got); err != nil || len(got) != tc.fields {
			t.Fatalf("%s: %s: %v", name, body, err)
		}
		if has := string(got["read-restrictions"]); (has == `{"a":1}`) != strings.HasPrefix(name, "restricted") {
			t.Errorf("%s: restrictions %s", name, has)
		}
		if !bytes.Equal(got["metadata"], doc) {
			t.Errorf("%s: %s", name, got["metadata"])
		}
		if tc.location == "" {
			continue
		}
		var text string
		if err := json.Unmarshal(got["metadata-location"], &text); err != nil || text != tc.location {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func TestParsedBodies(t *testing.T) {
	t.Parallel()
	create, err := wire.ParseCreateTable([]byte(`{"name":"t","location":null,"schema":{"a": 1},"partition-spec":null,"write-order":{"b":2},"stage-create":true,"properties":null,"new":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&wire.CreateTable{
		Name: "t", Schema: json.RawMessage(`{"a": 1}`), WriteOrder: json.RawMessage(`{"b":2}`), StageCreate: true, Properties: map[string]string{},
	}, create); diff != "" {
		t.Error(diff)
	}
	commit, err := wire.ParseCommit([]byte(`{"updates":[ 1 ],"requirements":null}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&wire.Commit{Requirements: json.RawMessage(`[]`), Updates: json.RawMessage(`[ 1 ]`)}, commit); diff != "" {
		t.Error(diff)
	}
	view, err := wire.ParseCreateView([]byte(`{"name":"v","location":"s3://b/v","schema":{"a": 1},"view-version":{"b": 2},"properties":{"k":"v"},"new":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&wire.CreateView{
		Name: "v", Location: "s3://b/v", Schema: json.RawMessage(`{"a": 1}`), Version: json.RawMessage(`{"b": 2}`), Properties: map[string]string{"k": "v"},
	}, view); diff != "" {
		t.Error(diff)
	}
	rename, err := wire.ParseRename([]byte(`{"source":{"namespace":["a","b"],"name":"v"},"destination":{"namespace":["c"],"name":"w"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&wire.Rename{
		Source: wire.Identifier{Namespace: []string{"a", "b"}, Name: "v"}, Destination: wire.Identifier{Namespace: []string{"c"}, Name: "w"},
	}, rename); diff != "" {
		t.Error(diff)
	}
	update, err := wire.ParseUpdateProperties([]byte("\r\n\t {\"removals\":[\"a\"],\"updates\":{\"b\":\"\"}} \n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&wire.UpdateProperties{Removals: []string{"a"}, Updates: map[string]string{"b": ""}}, update); diff != "" {
		t.Error(diff)
	}
}

// FuzzBodies holds that every body is either read or refused with a text.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{"namespace":["a"],"properties":{"k":"v"}}`, `{"removals":["a"],"updates":{}}`,
		`{"table-changes":[{"identifier":{"namespace":["a"],"name":"t"},"updates":[]},null]}`, `{"name":"t","metadata-location":"s3://b/m","overwrite":true}`,
		`{"report-type":"commit-report","table-name":"t","snapshot-id":1,"sequence-number":1,"operation":"append","metrics":{"a":{"unit":"count","value":1},"b":{"time-unit":"days","count":1,"total-duration":9223372036854775807}}}`,
		`{"name":"t","schema":{}}`, `{"requirements":[],"updates":[]}`, `{"name":"v","schema":{},"view-version":{},"properties":{}}`,
		`{"source":{"namespace":["a"],"name":"v"},"destination":{"namespace":[],"name":null}}`, `{"a":1e999}`, "\xff", `{"\ud800":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		check := func(err error) {
			var malformed *jsonbody.Malformed
			if err != nil && (!errors.As(err, &malformed) || malformed.Error() == "") {
				t.Errorf("%q: %v", body, err)
			}
		}
		_, err := wire.ParseCreateNamespace(body)
		check(err)
		_, err = wire.ParseUpdateProperties(body)
		check(err)
		_, err = wire.ParseCreateTable(body)
		check(err)
		_, err = wire.ParseCommit(body)
		check(err)
		_, err = wire.ParseCreateView(body)
		check(err)
		_, err = wire.ParseRegisterView(body)
		check(err)
		_, err = wire.ParseTransaction(body)
		check(err)
		_, err = wire.ParseRename(body)
		check(err)
		_, err = wire.ParseRegisterTable(body)
		check(err)
		_, err = wire.ParseReport(body)
		check(err)
	})
}

func TestParsedReports(t *testing.T) {
	t.Parallel()
	got, err := wire.ParseReport([]byte(`{"report-type":"scan-report","table-name":"c.a.t","snapshot-id":9223372036854775807,"filter":true,"schema-id":0,"projected-field-ids":[1],"projected-field-names":["x"],
		"metrics":{"total-planning-duration":{"count":2,"time-unit":"MILLISECONDS","total-duration":30},"result-data-files":{"unit":"count","value":4},
		"for-ever":{"count":1,"time-unit":"days","total-duration":9223372036854775807}},"metadata":{"engine":"spark"},"new":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&wire.Report{
		Kind: wire.ScanReport, SnapshotID: 9223372036854775807, Counters: map[string]int64{"result-data-files": 4},
		Timers: map[string]wire.Timer{"total-planning-duration": {Count: 2, Total: 30 * time.Millisecond}, "for-ever": {Count: 1, Total: 1<<63 - 1}},
	}, got); diff != "" {
		t.Error(diff)
	}
}

func TestParsedTransactions(t *testing.T) {
	t.Parallel()
	got, err := wire.ParseTransaction([]byte(`{"table-changes":[{"identifier":{"namespace":["a","b"],"name":"t"},"requirements":null,"updates":[ 1 ]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []wire.TableChange{{Identifier: wire.Identifier{Namespace: []string{"a", "b"}, Name: "t"}, Requirements: json.RawMessage(`[]`), Updates: json.RawMessage(`[ 1 ]`)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := wire.ParseTransaction([]byte(`{"table-changes":[]}`)); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}
