package command_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
)

var update = flag.Bool("update", false, "write golden files that are missing; those that are there are never changed")

// Entries as they stand in logs that exist. A file here is read by every later
// version, and what it says is encoded in the same bytes: a new kind or field
// gets a new file, none is ever changed or removed.
func TestGoldenEntries(t *testing.T) {
	t.Parallel()
	if *update {
		writeMissing(t)
	}
	files, err := filepath.Glob("testdata/v1/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		data, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		said, err := os.ReadFile(strings.TrimSuffix(file, ".hex") + ".txtpb")
		if err != nil {
			t.Fatal(err)
		}
		want := &command.Entry{}
		if err := prototext.Unmarshal(said, want); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		got, err := command.Decode(data, command.NewestVersion)
		if err != nil || !proto.Equal(want, got) {
			t.Errorf("%s: %v, %v", file, got, err)
			continue
		}
		again, err := command.Encode(got, command.FirstVersion)
		if err != nil || !bytes.Equal(data, again) {
			t.Errorf("%s: encoded as %x, %v", file, again, err)
		}
	}
}

func writeMissing(t *testing.T) {
	whole := full()
	entries := map[string]*command.Entry{
		"empty":       {},
		"open_term":   {Commands: whole.GetCommands()[:1]},
		"transaction": {Commands: whole.GetCommands()[1:2]},
		"list":        whole,
		"restore": {Commands: []*command.Command{{TimeMs: 1_700_000_000_003, Kind: &command.Command_Transaction{Transaction: &command.Transaction{
			Id: []byte("0123456789abcdef"), DeadlineMs: 1_700_000_030_000,
			Writes:  []*command.Write{command.PutValue([]byte("\x11a"), []byte("value"))},
			Restore: command.RestoreFrom([]byte("\x21"), []byte("\x22")),
		}}}}},
		"raise": raise(command.FirstVersion),
	}
	for name, entry := range entries {
		path := filepath.Join("testdata", "v1", name)
		if _, err := os.Stat(path + ".hex"); err == nil {
			continue
		}
		data, err := command.Encode(entry, command.FirstVersion)
		if err != nil {
			t.Fatal(err)
		}
		text, err := prototext.MarshalOptions{Multiline: true}.Marshal(entry)
		if err != nil {
			t.Fatal(err)
		}
		var lines strings.Builder
		for rest := hex.EncodeToString(data); rest != ""; {
			n := min(len(rest), 64)
			lines.WriteString(rest[:n] + "\n")
			rest = rest[n:]
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string][]byte{path + ".hex": []byte(lines.String()), path + ".txtpb": text} {
			if err := os.WriteFile(name, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
