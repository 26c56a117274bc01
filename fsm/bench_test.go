package fsm_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// openOnDisk opens a machine with the default sizes in a folder of its own.
func openOnDisk(b *testing.B) *fsm.Machine {
	b.Helper()
	m, err := fsm.Open(fsm.Options{Dir: b.TempDir(), FS: vfs.Default, Halt: func(err error) { b.Error(err) }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := m.Close(); err != nil {
			b.Error(err)
		}
	})
	return m
}

// spread is an identity or table id that looks random, as real ones are.
func spread(n uint64) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
	return sum[:16]
}

// tableCommit is what a commit to a table writes: the pointer, the head, a
// snapshot, a log entry, an answer that expires, and an event.
func tableCommit(n, nowMs uint64) *command.Command {
	table := spread(n % 1000)
	write := func(key []byte, size int, expiresMs uint64) *command.Write {
		value := bytes.Repeat(spread(n), size/16)
		return &command.Write{Kind: &command.Write_Put{Put: &command.Put{Key: key, Value: value, ExpiresMs: expiresMs}}}
	}
	return at(nowMs, &command.Transaction{
		Id:         spread(n),
		DeadlineMs: nowMs + 30_000,
		Writes: []*command.Write{
			write(state.TableKey("main", []string{"sales"}, fmt.Sprint("table ", n%1000)), 160, 0),
			write(state.HeadKey(table), 1600, 0),
			write(state.PartKey(table, 1, n), 600, 0),
			write(state.PartKey(table, 2, n), 160, 0),
			write(state.AnswerKey("someone", fmt.Sprint(n)), 160, nowMs+1_800_000),
		},
		Events: []*command.Event{{Payload: make([]byte, 200)}},
	})
}

func BenchmarkApply(b *testing.B) {
	for _, perEntry := range []int{1, 64} {
		b.Run(fmt.Sprintf("transactions=%d", perEntry), func(b *testing.B) {
			m := openOnDisk(b)
			const prepared = 512
			n, index := uint64(0), uint64(0)
			next := func() []*raft.Log {
				var logs []*raft.Log
				for range prepared {
					index++
					var commands []*command.Command
					for range perEntry {
						n++
						// A thousand commits a second.
						commands = append(commands, tableCommit(n, 1_700_000_000_000+n))
					}
					logs = append(logs, entryLog(b, index, commands...))
				}
				return logs
			}
			b.ReportAllocs()
			b.ResetTimer()
			var logs []*raft.Log
			for range b.N {
				if len(logs) == 0 {
					b.StopTimer()
					logs = next()
					b.StartTimer()
				}
				m.Apply(logs[0])
				logs = logs[1:]
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*perEntry), "ns/transaction")
		})
	}
}

// filled is a machine with rows enough to lie in files.
func filled(b *testing.B, commits int) *fsm.Machine {
	b.Helper()
	m := openOnDisk(b)
	index := uint64(0)
	for n := 0; n < commits; {
		var commands []*command.Command
		for range 64 {
			n++
			commands = append(commands, tableCommit(uint64(n), 1_700_000_000_000+uint64(n)))
		}
		index++
		apply(b, m, index, commands...)
	}
	if err := m.Flush(); err != nil {
		b.Fatal(err)
	}
	return m
}

func BenchmarkRead(b *testing.B) {
	m := filled(b, 40_000)
	keys := func(present bool) [][]byte {
		var out [][]byte
		for n := range 1000 {
			name := fmt.Sprint("table ", n)
			if !present {
				name += "?"
			}
			out = append(out, state.TableKey("main", []string{"sales"}, name))
		}
		return out
	}
	for name, keys := range map[string][][]byte{"present": keys(true), "missing": keys(false)} {
		b.Run("view+get/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				v, err := m.View()
				if err != nil {
					b.Fatal(err)
				}
				if _, ok, err := v.Get(keys[i%len(keys)]); err != nil || ok != (name == "present") {
					b.Fatal(ok, err)
				}
				v.Close()
			}
		})
	}
	b.Run("view", func(b *testing.B) {
		for range b.N {
			v, err := m.View()
			if err != nil {
				b.Fatal(err)
			}
			v.Close()
		}
	})
	b.Run("parts of a table", func(b *testing.B) {
		v, err := m.View()
		if err != nil {
			b.Fatal(err)
		}
		defer v.Close()
		for i := range b.N {
			rows := 0
			err := v.Scan(state.PartsOf(spread(uint64(i%1000))), func([]byte, state.Value) bool {
				rows++
				return true
			})
			if err != nil || rows != 80 {
				b.Fatal(rows, err)
			}
		}
	})
}

func BenchmarkSnapshot(b *testing.B) {
	// Five rows for each commit besides those that are written over: 200,000.
	m := filled(b, 40_000)
	var stream bytes.Buffer
	if _, err := m.WriteSnapshot(&stream); err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		for range b.N {
			if _, err := m.WriteSnapshot(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(stream.Len()), "bytes")
	})
	b.Run("restore", func(b *testing.B) {
		other := openOnDisk(b)
		for range b.N {
			if err := restore(other, stream.Bytes()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify", func(b *testing.B) {
		for range b.N {
			if _, _, err := m.VerifyChecksum(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
