package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/ops/audit"
)

func TestARecordKeepsAllThatItHas(t *testing.T) {
	t.Parallel()
	sink, c := &trial{}, newClock()
	log := open(t, audit.Options{Sinks: []audit.Sink{sink}, OnFailure: audit.Refuse, Now: c.Now})
	want := audit.Record{
		Event: audit.Decision, RequestID: "r-1", Principal: "key-1", PrincipalName: "etl", PrincipalType: "service", Tenant: "acme", Groups: []string{"writer", "eu"},
		Source: "2001:db8::1", Action: "CommitTable", Resource: &audit.Resource{Kind: "Table", Warehouse: "w", Namespace: []string{"a.b", "c"}, Name: "t"},
		Decision: audit.Allow, Reason: "why", Policies: []string{"p0", "p1"}, PolicyVersion: "7", Context: json.RawMessage(`{"time":12,"tags":["x",true,null]}`),
		Status: 200, Error: "SomeException", Index: 99, Count: 3,
	}
	if err := log.Ensure(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	sink.mu.Lock()
	raw := sink.lines[1]
	sink.mu.Unlock()
	got := parse(t, raw)
	want.Time, want.Node = c.Now().Add(1), "n1" // the record before it has the moment itself
	want.Context = json.RawMessage(`{"tags":["x",true,null],"time":12}`)
	if diff := cmp.Diff(want, got.Record); diff != "" {
		t.Errorf("written (-) and read (+):\n%s", diff)
	}
	if got.Seq != 2 {
		t.Errorf("the second record is number %d", got.Seq)
	}
}

// What a stranger sends stays one line and shows what it is.
func TestNothingBreaksOutOfALine(t *testing.T) {
	t.Parallel()
	sink := &trial{}
	log := open(t, audit.Options{Sinks: []audit.Sink{sink}, OnFailure: audit.Refuse})
	hostile := []string{
		"a\nb", "a\r\nb", "\x1b[2Jgone", "quote\"and\\", "\u202eesrever", "zero\u200bwidth", "\u2028line", "\x00", "\x7f\u0085", "\xff\xfe", "</script>",
		strings.Repeat("long", 10_000), strings.Repeat("\x00", 10_000), strings.Repeat("\x80", 600), strings.Repeat("ж", 600), "\U000e0001tag",
	}
	for _, text := range hostile {
		r := audit.Record{Event: audit.Decision, Principal: text, Tenant: text, Groups: []string{text}, Resource: &audit.Resource{Kind: "Table", Namespace: []string{text}, Name: text}}
		if err := log.Ensure(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Ensure(t.Context(), audit.Record{Event: audit.Decision, Groups: slices.Repeat([]string{strings.Repeat("\x00", 1000)}, 1000)}); err != nil {
		t.Fatal(err)
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if len(sink.lines) != len(hostile)+2 {
		t.Fatalf("%d lines of %d records", len(sink.lines), len(hostile)+2)
	}
	for i, raw := range sink.lines {
		if len(raw) > audit.MaxLine {
			t.Errorf("a line of %d bytes", len(raw))
		}
		line := parse(t, raw)
		for _, r := range raw {
			if r < ' ' || r == 0x7f || r == 0x85 || r != '…' && r >= 0x200b && r <= 0x202e || r == 0xFFFD || r == 0xE0001 {
				t.Errorf("%.60q holds %U as it is", raw, r)
			}
		}
		if i > 0 && i <= len(hostile) && len(hostile[i-1]) < 512 && hostile[i-1] != "\xff\xfe" && line.Principal != hostile[i-1] {
			t.Errorf("%q came back as %q", hostile[i-1], line.Principal)
		}
	}
}

func TestContextThatIsNoneIsLeftOut(t *testing.T) {
	t.Parallel()
	sink := &trial{}
	log := open(t, audit.Options{Sinks: []audit.Sink{sink}, OnFailure: audit.Refuse})
	for i, context := range []string{`{`, `[]`, `"x"`, `{"a":"` + strings.Repeat("x", 5000) + `"}`, strings.Repeat(`{"a":`, 200)} {
		if err := log.Ensure(t.Context(), audit.Record{Event: audit.Decision, Context: json.RawMessage(context)}); err != nil {
			t.Fatal(err)
		}
		sink.mu.Lock()
		if got := string(parse(t, sink.lines[i+1]).Context); got != `{"omitted":true}` {
			t.Errorf("%.20s: %s", context, got)
		}
		sink.mu.Unlock()
	}
}

// A change waits for its record, and is refused while a sink takes none.
func TestRefuse(t *testing.T) {
	t.Parallel()
	sink := &trial{}
	var refused, lost atomic.Int64
	log := open(t, audit.Options{
		Sinks: []audit.Sink{sink}, OnFailure: audit.Refuse, Patience: 10 * time.Second,
		Observer: audit.Observer{Refused: func() { refused.Add(1) }, Lost: func(_ string, n uint64) { lost.Add(int64(n)) }},
	})
	change := audit.Record{Event: audit.Decision, Decision: audit.Allow}
	if err := log.Ensure(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	sink.setFail(true)
	log.Note(audit.Record{Event: audit.Decision, Decision: audit.Deny})
	await(t, "the failure to be noticed", func() bool { return len(log.Trouble()) == 1 })
	if err := log.Ensure(t.Context(), change); !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, errTrial) {
		t.Fatalf("got %v", err)
	}
	if refused.Load() != 1 {
		t.Errorf("%d were counted as refused", refused.Load())
	}
	sink.setFail(false)
	await(t, "the sink to be well again", func() bool { return len(log.Trouble()) == 0 })
	if err := log.Ensure(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	// Nothing was lost meanwhile, what was refused included.
	if diff := cmp.Diff([]audit.Event{audit.Begin, audit.Decision, audit.Decision, audit.Decision, audit.Decision}, sink.events(t)); diff != "" || lost.Load() != 0 {
		t.Errorf("%d lost; wanted (-), got (+):\n%s", lost.Load(), diff)
	}
}

// A sink that hangs holds up no reader, and a change only for a while.
func TestASinkThatHangs(t *testing.T) {
	t.Parallel()
	for _, way := range []audit.OnFailure{audit.Refuse, audit.Count} {
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			sink := &trial{hold: make(chan struct{})}
			well := &trial{}
			var lost atomic.Int64
			log := open(t, audit.Options{
				Sinks: []audit.Sink{well, sink}, OnFailure: way, Patience: time.Millisecond,
				Observer: audit.Observer{Lost: func(_ string, n uint64) { lost.Add(int64(n)) }},
			})
			err := log.Ensure(t.Context(), audit.Record{Event: audit.Decision})
			if (way == audit.Refuse) != errors.Is(err, audit.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			const many = 20_000 // more than may wait
			for range many {
				log.Note(audit.Record{Event: audit.Decision, Decision: audit.Deny})
			}
			if lost.Load() == 0 {
				t.Error("nothing was lost, or not counted")
			}
			await(t, "the hanging write to be noticed", func() bool { return len(log.Trouble()) == 1 })
			close(sink.hold)
			await(t, "the sink to be well again", func() bool {
				s := log.Status()
				return len(log.Trouble()) == 0 && s[0].Waiting+s[1].Waiting == 0
			})
			log.Note(audit.Record{Event: audit.Outcome})
			await(t, "the record of what was lost", func() bool {
				events := sink.events(t)
				return slices.Contains(events, audit.Lost) && slices.Contains(events, audit.Outcome)
			})
			// The chain has no gap, and says how many are missing.
			told := uint64(0)
			sink.mu.Lock()
			for i, raw := range sink.lines {
				line := parse(t, raw)
				if line.Seq != uint64(i+1) {
					t.Fatalf("line %d has number %d", i+1, line.Seq)
				}
				if line.Event == audit.Lost {
					told += line.Count
				}
			}
			sink.mu.Unlock()
			status := log.Status()
			if told != status[1].Lost {
				t.Errorf("%d are told as lost, %d were", told, status[1].Lost)
			}
			if n := uint64(lost.Load()); n != status[0].Lost+status[1].Lost {
				t.Errorf("%d were counted, %d were lost", n, status[0].Lost+status[1].Lost)
			}
		})
	}
}

// Who waits for a record gives up with its request.
func TestEnsureEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	sink := &trial{hold: make(chan struct{})}
	log := open(t, audit.Options{Sinks: []audit.Sink{sink}, OnFailure: audit.Refuse, Patience: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := log.Ensure(ctx, audit.Record{Event: audit.Decision}); !errors.Is(err, audit.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	close(sink.hold)
}

// A sink that hangs for good does not keep a node from stopping.
func TestCloseLeavesAHangingSinkBehind(t *testing.T) {
	t.Parallel()
	sink := &trial{hold: make(chan struct{}), inside: make(chan struct{}, 1)}
	defer close(sink.hold)
	log, err := audit.Open(audit.Options{Node: "n1", Sinks: []audit.Sink{sink}})
	if err != nil {
		t.Fatal(err)
	}
	<-sink.inside
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := log.Close(ctx); err == nil {
		t.Error("a sink that took nothing was closed without a word")
	}
	log.Note(audit.Record{Event: audit.Decision}) // is too late, and harmless
	if err := log.Ensure(t.Context(), audit.Record{}); err != nil {
		t.Errorf("counting goes on: %v", err)
	}
}

// A stranger can't fill the log with failures, and none of them is forgotten.
func TestFailuresAreTakenTogether(t *testing.T) {
	t.Parallel()
	sink, c := &trial{}, newClock()
	log := open(t, audit.Options{Sinks: []audit.Sink{sink}, Now: c.Now, OnFailure: audit.Refuse})
	total := 0
	fail := func(source, reason string, n int) {
		for range n {
			total++
			log.NoteFailure(audit.Record{Source: source, Reason: reason})
		}
	}
	fail("10.0.0.1", "unknown", 500)
	fail("10.0.0.1", "missing", 3)
	for i := range 300 { // one network, however many addresses it has
		fail(fmt.Sprintf("2001:db8::%x", i), "unknown", 2)
	}
	for i := range 5000 {
		fail(fmt.Sprintf("10.1.%d.%d", i/250, i%250), "unknown", 1)
	}
	c.pass(2 * time.Minute)
	await(t, "all failures to be on record", func() bool {
		told := uint64(0)
		sink.mu.Lock()
		defer sink.mu.Unlock()
		for _, raw := range sink.lines {
			if line := parse(t, raw); line.Event == audit.Authentication {
				told += max(line.Count, 1)
			}
		}
		return told == uint64(total)
	})
	sink.mu.Lock()
	written := len(sink.lines)
	sink.mu.Unlock()
	if written > 2000 {
		t.Errorf("%d records of %d failures", written, total)
	}
}

func BenchmarkNote(b *testing.B) {
	log := open(b, audit.Options{Sinks: []audit.Sink{openFile(b, b.TempDir(), newClock())}})
	r := audit.Record{
		Event: audit.Decision, RequestID: "0198f2e4-9f8e-7c3a-8e7b-5a3d2c1b0a99", Principal: "key-1", PrincipalName: "etl", Tenant: "acme", Groups: []string{"writer"},
		Source: "10.0.0.1", Action: "CommitTable", Resource: &audit.Resource{Kind: "Table", Warehouse: "w", Namespace: []string{"a", "b"}, Name: "t"}, Decision: audit.Allow,
	}
	b.ReportAllocs()
	for b.Loop() {
		log.Note(r)
	}
}

// What a change waits for until its record is written.
func BenchmarkEnsure(b *testing.B) {
	log := open(b, audit.Options{Sinks: []audit.Sink{openFile(b, b.TempDir(), newClock())}, OnFailure: audit.Refuse})
	r := audit.Record{
		Event: audit.Decision, RequestID: "0198f2e4-9f8e-7c3a-8e7b-5a3d2c1b0a99", Principal: "key-1", PrincipalName: "etl", Tenant: "acme", Groups: []string{"writer"},
		Source: "10.0.0.1", Action: "CommitTable", Resource: &audit.Resource{Kind: "Table", Warehouse: "w", Namespace: []string{"a", "b"}, Name: "t"}, Decision: audit.Allow,
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := log.Ensure(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
