package catalog

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestReports(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var told []int64
	c := s.node(func(o *Options) {
		o.Observer.Reported = func(r *Report) { told = append(told, r.SnapshotID) }
	})
	s.tables(t, c, "t", "other")
	id := ident("ns", "t")
	send := func(id Identifier, snapshot int64, size int) {
		t.Helper()
		report := Report{Kind: ScanReport, SnapshotID: snapshot, Body: json.RawMessage(strings.Repeat(" ", size))}
		if index, err := c.ReportMetrics(t.Context(), Read{}, "", id, report); err != nil || index == 0 {
			t.Fatalf("index %d, %v", index, err)
		}
	}
	get := func(id Identifier) []*Report {
		t.Helper()
		got, err := c.TableReports(t.Context(), Read{}, "", id)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	send(id, 1, 10)
	send(ident("ns", "other"), 2, 10)
	if _, err := c.RenameTable(t.Context(), Change{}, "", id, ident("ns", "u")); err != nil {
		t.Fatal(err)
	}
	id = ident("ns", "u")
	send(id, 3, 10)
	got := get(id)
	if len(got) != 2 || got[0].SnapshotID != 3 || got[1].SnapshotID != 1 || got[1].Identifier.Name != "t" || got[0].ReceivedMs == 0 || got[0].Warehouse != "default" {
		t.Errorf("got %+v", got)
	}
	if fmt.Sprint(told) != "[1 2 3]" {
		t.Errorf("told of %v", told)
	}
	_, err := c.ReportMetrics(t.Context(), Read{}, "", ident("ns", "x"), Report{})
	wantKind(t, err, KindNoSuchTable)
	_, err = c.TableReports(t.Context(), Read{}, "", ident("ns", "x"))
	wantKind(t, err, KindNoSuchTable)

	// They are bounded by number, and by what they take.
	for i := range int64(maxReports + 5) {
		send(id, 100+i, 10)
	}
	if got := get(id); len(got) != maxReports || got[0].SnapshotID != 100+maxReports+4 {
		t.Errorf("%d reports, the newest is %d", len(got), got[0].SnapshotID)
	}
	for i := range int64(10) {
		send(id, i, maxReportBytes/8)
	}
	if got := get(id); len(got) != 3 || got[0].SnapshotID != 9 {
		t.Errorf("%d large reports, the newest is %d", len(got), got[0].SnapshotID)
	}
	send(id, 77, maxReportBytes)
	if got := get(id); len(got) != 1 || got[0].SnapshotID != 77 {
		t.Errorf("%d very large reports", len(got))
	}
}
