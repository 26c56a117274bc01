package management_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/management"
)

const (
	scanned = `{"report-type":"scan-report","table-name":"t","snapshot-id":7,"filter":{"type":"true"},"schema-id":0,
		"projected-field-ids":[1],"projected-field-names":["x"],"metrics":{
		"total-planning-duration":{"count":1,"time-unit":"nanoseconds","total-duration":2500000000},"result-data-files":{"unit":"count","value":3}}}`
	committed = `{"report-type":"commit-report","table-name":"t","snapshot-id":8,"sequence-number":2,"operation":"append","metrics":{}}`
)

func TestReports(t *testing.T) {
	t.Parallel()
	s, h := newNode(t)
	makeTable(t, h, "t")
	makeTable(t, h, "u")
	path := tables + "/t/reports"
	none := apitest.Decode[management.Reports](t, apitest.Ask{Method: "GET", Path: path}.Want(t, h, 200))
	if diff := cmp.Diff(management.Reports{Reports: []management.Report{}}, none); diff != "" {
		t.Error(diff)
	}
	for _, body := range []string{scanned, committed} {
		apitest.Ask{Method: "POST", Path: clientTables + "/t/metrics", Body: body}.Want(t, h, 204)
	}
	got := apitest.Decode[management.Reports](t, apitest.Ask{Method: "GET", Path: path}.Want(t, h, 200)).Reports
	want := []management.Report{
		{Kind: "commit-report", SnapshotID: 8, Operation: "append", Counters: map[string]int64{}, Timers: map[string]management.Timer{}},
		{
			Kind: "scan-report", SnapshotID: 7, Counters: map[string]int64{"result-data-files": 3},
			Timers: map[string]management.Timer{"total-planning-duration": {Count: 1, Seconds: 2.5}},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(management.Report{}, "ReceivedAt", "Sent")); diff != "" {
		t.Error(diff)
	}
	for _, r := range got {
		if age := time.Since(r.ReceivedAt); age < -time.Minute || age > time.Minute || !json.Valid(r.Sent) {
			t.Errorf("got %+v", r)
		}
	}
	if other := apitest.Decode[management.Reports](t, apitest.Ask{Method: "GET", Path: tables + "/u/reports"}.Want(t, h, 200)); len(other.Reports) != 0 {
		t.Errorf("another table has %+v", other)
	}
	if other := apitest.Decode[management.Reports](t, apitest.Ask{Method: "GET", Path: path}.Want(t, node(s, "n2"), 200)); len(other.Reports) != 0 {
		t.Errorf("another node has %+v", other)
	}
	apitest.Ask{Method: "GET", Path: tables + "/nothing/reports"}.WantError(t, h, 404, "NoSuchTableException")
	apitest.Ask{Method: "POST", Path: path}.WantError(t, h, 405, "MethodNotAllowedException")
}
