package audit

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever stands between the lines of a file, they are read back from any moment on,
// each once.
func TestAFileIsReadBack(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		c, err := newChain()
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		var moments []time.Time
		now := begin
		for range rapid.IntRange(0, 60).Draw(t, "lines") {
			switch rapid.IntRange(0, 9).Draw(t, "line") {
			case 0:
				file.WriteString(rapid.SampledFrom([]string{"\n", "gone\n", `{"seq":1}` + "\n", strings.Repeat("x", MaxLine+100) + "\n", strings.Repeat("y", 3*readBack) + "\n"}).Draw(t, "junk"))
			default:
				now = now.Add(time.Duration(rapid.IntRange(1, 1000).Draw(t, "later")) * time.Millisecond)
				moments = append(moments, now)
				r := &Record{Time: now, Node: "n1", Event: Decision, Principal: strings.Repeat("p", rapid.SampledFrom([]int{1, 100, 500}).Draw(t, "size"))}
				file.Write(c.link(appendRecord(nil, r)))
			}
		}
		file.WriteString(rapid.SampledFrom([]string{"", `{"seq":`, strings.Repeat("z", readBack+1)}).Draw(t, "torn"))
		until := time.Time{}
		if rapid.Bool().Draw(t, "from a moment") {
			until = begin.Add(time.Duration(rapid.IntRange(-1, 70_000).Draw(t, "until")) * time.Millisecond)
		}
		most := rapid.IntRange(1, 100).Draw(t, "most")
		var want, got []time.Time
		for _, moment := range slices.Backward(moments) {
			if len(want) < most && (until.IsZero() || !moment.After(until)) {
				want = append(want, moment)
			}
		}
		more, err := backThrough(context.Background(), bytes.NewReader(file.Bytes()), int64(file.Len()), until, func(raw []byte) bool {
			if line, err := ParseLine(raw); err == nil {
				got = append(got, line.Time)
			}
			return len(got) < most
		})
		if err != nil || more != (len(got) < most) || !slices.Equal(got, want) {
			t.Fatalf("%v, more %v, got %v, want %v", err, more, got, want)
		}
	})
}

// pair is two nodes in one process.
type pair map[string]*Log

func (p pair) Nodes() []string { return []string{"n1", "n2"} }

func (p pair) Ask(ctx context.Context, node string, question []byte) ([]byte, error) {
	return p[node].Answer(ctx, question)
}

// What is in the files of nodes is listed whole and in order, however much of them is
// looked at for one page.
func TestPagesOfFilesThatTakeLong(t *testing.T) {
	t.Parallel()
	var passed atomic.Int64
	now := func() time.Time {
		return time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC).Add(time.Duration(passed.Load()))
	}
	nodes := pair{}
	for _, node := range nodes.Nodes() {
		file, err := OpenFile(FileOptions{Path: filepath.Join(t.TempDir(), "audit.jsonl"), MaxBytes: 5000, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		log, err := Open(Options{Node: node, Sinks: []Sink{file}, OnFailure: Refuse, Recent: 5, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := log.Close(context.Background()); err != nil { // the test's own context has ended
				t.Error(err)
			}
		})
		log.looksAt = map[string]int{"n1": 1, "n2": 3000}[node]
		nodes[node] = log
	}
	var want []string
	for i := range 120 {
		passed.Add(int64(time.Millisecond))
		node := nodes.Nodes()[i*i%7%2]
		r := Record{Event: Decision, Decision: Allow, Principal: fmt.Sprintf("p%d", i%3), RequestID: fmt.Sprint(i)}
		if err := nodes[node].Ensure(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if i%3 == 1 && i >= 10 {
			want = append(want, r.RequestID)
		}
	}
	slices.Reverse(want)
	trail := &Trail{Peers: nodes, Patience: time.Minute}
	q := Query{Principal: "p1", Since: now().Add(-109 * time.Millisecond)}
	for _, most := range []int{1, 7, 1000} {
		var got []string
		after := Position{}
		for pages := 0; ; pages++ {
			page, err := trail.Find(t.Context(), q, after, most)
			if err != nil || len(page.Missing) > 0 || len(page.Records) > most {
				t.Fatalf("%v %+v", err, page)
			}
			for i := range page.Records {
				got = append(got, page.Records[i].RequestID)
			}
			if page.Next == nil {
				break
			}
			if pages > 300 || !page.Next.after(after) {
				t.Fatalf("page %d goes on at %+v after %+v", pages, page.Next, after)
			}
			after = *page.Next
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v, want %v", most, got, want)
		}
	}
}
