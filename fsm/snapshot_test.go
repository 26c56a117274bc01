package fsm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/xxh3"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// busy is a machine with a little of everything, and a cluster's identity.
func busy(t testing.TB, clusterID string) *fsm.Machine {
	t.Helper()
	m := open(t, vfs.NewMem())
	record, err := state.Encode(&state.Cluster{Id: clusterID, CreatedMs: 7})
	if err != nil {
		t.Fatal(err)
	}
	identity := &command.Write{Kind: &command.Write_Put{Put: &command.Put{Key: state.ClusterKey(), Value: record}}}
	one(t, m, 3, 1_000, transaction(1, identity, put("a", "1"), putUntil("b", "1", 2_000), event("x")))
	one(t, m, 5, 1_500, transaction(2, absent("a")))
	one(t, m, 6, 1_500, transaction(3, put("c", strings.Repeat("large ", 1000))))
	return m
}

func TestSnapshotHeader(t *testing.T) {
	t.Parallel()
	m := busy(t, "cluster-1")
	sum, _ := m.Checksum()
	want := fsm.Header{ClusterID: "cluster-1", Index: 6, Term: 1, TimeMs: 1_500, Revision: 2, Checksum: sum}
	var out bytes.Buffer
	written, err := m.WriteSnapshot(&out)
	if err != nil {
		t.Fatal(err)
	}
	read, err := fsm.ReadHeader(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	verified, err := fsm.VerifySnapshot(&out)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []fsm.Header{written, read, verified} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

// A snapshot is of the moment at which it was taken, not of that at which it is
// written, and what was applied until then is durable once it is.
func TestSnapshotAmongWrites(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	m := open(t, fs)
	one(t, m, 1, 1, transaction(1, put("a", "1")))
	want := dump(t, m)
	s, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	one(t, m, 2, 2, transaction(2, put("a", "2")))
	sink := &memorySink{}
	if err := s.Persist(sink); err != nil || !sink.closed {
		t.Fatal(err, sink.closed)
	}
	if !bytes.Equal(want, sink.Bytes()) {
		t.Error("the snapshot holds something else than the state when it was taken")
	}
	after := open(t, fs.CrashClone(vfs.CrashCloneCfg{}))
	if index, _ := after.Applied(); index < 1 {
		t.Error("the log would be cut before the state is durable")
	}
}

func TestSnapshotSinkFails(t *testing.T) {
	t.Parallel()
	m := busy(t, "cluster-1")
	s, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	sink := &memorySink{failAfter: 100}
	if err := s.Persist(sink); err == nil || !sink.cancelled || sink.closed {
		t.Errorf("%v, %+v", err, sink)
	}
}

func TestRestoreReplacesEverything(t *testing.T) {
	t.Parallel()
	from := busy(t, "cluster-1")
	to := open(t, vfs.NewMem())
	one(t, to, 1, 9_000, transaction(7, put("old", "1"), event("old")))
	stream := dump(t, from)
	if err := restore(to, stream); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stream, dump(t, to)) {
		t.Error("the states differ")
	}
	verify(t, to)
	if index, term := to.Applied(); index != 6 || term != 1 {
		t.Errorf("applied %d, term %d", index, term)
	}
	// Both go on alike.
	next := transaction(8, present("c"), put("d", "1"), delRange("a", "b"))
	if a, b := one(t, from, 7, 2_500, next), one(t, to, 7, 2_500, next); a != b || a.Outcome != command.Applied {
		t.Errorf("%+v and %+v", a, b)
	}
	if !bytes.Equal(dump(t, from), dump(t, to)) {
		t.Error("the states differ after another entry")
	}
}

// An empty state is a state too.
func TestSnapshotOfNothing(t *testing.T) {
	t.Parallel()
	to := busy(t, "")
	if err := restore(to, dump(t, open(t, vfs.NewMem()))); err != nil {
		t.Fatal(err)
	}
	if index, _ := to.Applied(); index != 0 || len(contents(t, to)) != 0 {
		t.Errorf("applied %d, contents %v", index, contents(t, to))
	}
}

// headed gives a stream's header a checksum that fits it again.
func headed(stream []byte) []byte {
	length := int(binary.BigEndian.Uint32(stream[10:]))
	end := 14 + length
	binary.BigEndian.PutUint64(stream[end:], xxh3.Hash(stream[:end]))
	return stream
}

func TestBadSnapshotsAreRefused(t *testing.T) {
	t.Parallel()
	good := dump(t, busy(t, "cluster-1"))
	foreign := dump(t, busy(t, "cluster-2"))
	change := func(at int, b byte) []byte {
		out := bytes.Clone(good)
		out[at] ^= b
		return out
	}
	cases := map[string]struct {
		stream []byte
		err    error
		says   string
	}{
		"nothing":           {nil, fsm.ErrBadSnapshot, "cut short in its header"},
		"something else":    {[]byte("SQLite format 3\x00 and more"), fsm.ErrBadSnapshot, "no floeberg snapshot"},
		"half a header":     {good[:30], fsm.ErrBadSnapshot, "cut short in its header"},
		"header alone":      {good[:14+48+9+8], fsm.ErrBadSnapshot, "cut short in its frames"},
		"without its end":   {good[:len(good)-1], fsm.ErrBadSnapshot, "cut short in its frames"},
		"more than its end": {append(bytes.Clone(good), 0), fsm.ErrBadSnapshot, "bytes after its end"},
		"newer":             {change(9, 3), fsm.ErrNewerFormat, "format 2, this program reads 1"},
		"huge header":       {change(10, 0x7F), fsm.ErrBadSnapshot, "header of"},
		"header flipped":    {change(20, 1), fsm.ErrBadSnapshot, "header fails its checksum"},
		"other checksum":    {headed(change(14+32, 1)), fsm.ErrBadSnapshot, "its header says"},
		"other time":        {headed(change(14+23, 1)), fsm.ErrBadSnapshot, "not those of its header"},
		"foreign":           {foreign, fsm.ErrForeignSnapshot, "it is of cluster-2, this node belongs to cluster-1"},
	}
	m := busy(t, "cluster-1")
	one(t, m, 7, 1_500, transaction(9, put("later", "1")))
	before := dump(t, m)
	for name, c := range cases {
		err := restore(m, c.stream)
		if !errors.Is(err, c.err) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !bytes.Equal(before, dump(t, m)) {
		t.Error("a refused snapshot changed the state")
	}
	if got := one(t, m, 8, 1_500, transaction(10, put("later", "2"))); got.Outcome != command.Applied {
		t.Errorf("%+v", got)
	}
}

// No flipped bit and no cut goes unnoticed.
func TestDamageIsNoticed(t *testing.T) {
	t.Parallel()
	good := dump(t, busy(t, "cluster-1"))
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, err := fsm.VerifySnapshot(bytes.NewReader(bad)); err == nil {
			t.Errorf("byte %d flipped, not noticed", i)
		}
		if _, err := fsm.VerifySnapshot(bytes.NewReader(good[:i])); err == nil {
			t.Errorf("cut at %d, not noticed", i)
		}
	}
	if _, err := fsm.VerifySnapshot(io.MultiReader(bytes.NewReader(good), brokenReader{})); err == nil || errors.Is(err, fsm.ErrBadSnapshot) {
		t.Errorf("a failing source is no damage: %v", err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// A state of many frames and several tables comes back.
func TestLargeSnapshot(t *testing.T) {
	t.Parallel()
	from := open(t, vfs.NewMem())
	block := make([]byte, 1<<10)
	for index := range uint64(40) {
		var writes []any
		for n := range 100 {
			copy(block, spread(index*1000+uint64(n)))
			writes = append(writes, put(fmt.Sprintf("%03d-%d", n, index), string(block)))
		}
		writes = append(writes, put(fmt.Sprintf("huge-%d", index), strings.Repeat("x", 100_000)))
		one(t, from, index+1, 1, transaction(index+1, writes...))
	}
	one(t, from, 41, 1, transaction(100, put("larger than a frame", strings.Repeat("y", 3<<20))))
	to := open(t, vfs.NewMem())
	stream := dump(t, from)
	if err := restore(to, stream); err != nil {
		t.Fatal(err)
	}
	verify(t, to)
	if diff := cmp.Diff(contents(t, from), contents(t, to)); diff != "" {
		t.Error("the states differ")
	}
}

func FuzzReadSnapshot(f *testing.F) {
	f.Add(dump(f, busy(f, "cluster-1")))
	f.Add([]byte("floesnap\x00\x01"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		// Whatever it is, it is read or refused, and what is read is in order.
		var last []byte
		_, err := fsm.ReadSnapshot(bytes.NewReader(stream), func(key, _ []byte) error {
			if bytes.Compare(last, key) >= 0 {
				t.Errorf("key %x after %x", key, last)
			}
			last = bytes.Clone(key)
			return nil
		})
		if err == nil && len(stream) == 0 {
			t.Error("nothing was read as a snapshot")
		}
	})
}
