package command_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
)

// full is an entry with everything that there is.
func full() *command.Entry {
	k := func(s string) []byte { return append([]byte{0x11}, s...) }
	span := func(a, b string) *command.Range { return &command.Range{Start: k(a), End: k(b)} }
	return &command.Entry{Commands: []*command.Command{
		{TimeMs: 1_700_000_000_000, Kind: &command.Command_OpenTerm{OpenTerm: &command.OpenTerm{LeaderId: "node-1"}}},
		{TimeMs: 1_700_000_000_001, Kind: &command.Command_Transaction{Transaction: &command.Transaction{
			Id:         []byte("0123456789abcdef"),
			DeadlineMs: 1_700_000_030_000,
			Preconditions: []*command.Precondition{
				{Kind: &command.Precondition_Absent{Absent: k("a")}},
				{Kind: &command.Precondition_Present{Present: k("b")}},
				{Kind: &command.Precondition_AtRevision{AtRevision: &command.KeyAtRevision{Key: k("c"), Revision: 300}}},
				{Kind: &command.Precondition_RangeEmpty{RangeEmpty: span("d", "e")}},
			},
			Writes: []*command.Write{
				{Kind: &command.Write_Put{Put: &command.Put{Key: k("a"), Value: []byte("value"), ExpiresMs: 1_700_000_060_000}}},
				{Kind: &command.Write_Delete{Delete: k("b")}},
				{Kind: &command.Write_DeleteRange{DeleteRange: span("f", "g")}},
			},
			Events: []*command.Event{{Payload: []byte("event")}, {}},
		}}},
		{TimeMs: 1_700_000_000_002, Kind: &command.Command_Transaction{Transaction: &command.Transaction{Id: make([]byte, 16)}}},
	}}
}

func raise(version uint32) *command.Entry {
	return &command.Entry{Commands: []*command.Command{
		{TimeMs: 1_700_000_000_003, Kind: &command.Command_RaiseVersion{RaiseVersion: &command.RaiseVersion{Version: version}}},
	}}
}

// An entry of a version that is not known, or one that raises the version to such
// a one, is refused as a whole, and the refusal says which version it takes.
func TestDecodeRefusesNewerVersions(t *testing.T) {
	t.Parallel()
	const inUse, newest = 3, 4
	for name, tc := range map[string]struct {
		entry   *command.Entry
		version uint32
		ok      bool
	}{
		"in use":          {full(), inUse, true},
		"newest":          {full(), newest, true},
		"newer":           {full(), newest + 1, false},
		"raised to known": {raise(newest), inUse, true},
		"raised above":    {&command.Entry{Commands: append(full().GetCommands(), raise(newest+1).GetCommands()...)}, inUse, false},
	} {
		data, err := command.Encode(tc.entry, tc.version)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if data[0] != byte(tc.version) {
			t.Errorf("%s: written as version %d", name, data[0])
		}
		got, err := command.Decode(data, newest)
		if tc.ok && (err != nil || !proto.Equal(tc.entry, got)) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if !tc.ok && (!errors.Is(err, command.ErrUnknownCommand) || !strings.Contains(err.Error(), "version 5") || !strings.Contains(err.Error(), "up to 4")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, version := range []uint32{0, 256} {
		if _, err := command.Encode(full(), version); !errors.Is(err, command.ErrInvalid) {
			t.Errorf("written as version %d: %v", version, err)
		}
		if _, err := command.Encode(raise(version), inUse); !errors.Is(err, command.ErrInvalid) {
			t.Errorf("raised to version %d: %v", version, err)
		}
	}
}

func TestEncodeDecode(t *testing.T) {
	t.Parallel()
	for name, entry := range map[string]*command.Entry{"full": full(), "empty": {}} {
		data, err := command.Encode(entry, command.FirstVersion)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if data[0] != byte(command.FirstVersion) {
			t.Errorf("%s: format byte %d", name, data[0])
		}
		got, err := command.Decode(data, command.NewestVersion)
		if err != nil || !proto.Equal(entry, got) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	good, err := command.Encode(full(), command.FirstVersion)
	if err != nil {
		t.Fatal(err)
	}
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)
	cases := map[string]struct {
		data []byte
		err  error
	}{
		"nothing":      {nil, command.ErrMalformed},
		"version 0":    {append([]byte{0}, good[1:]...), command.ErrMalformed},
		"newer format": {append([]byte{byte(command.NewestVersion + 1)}, good[1:]...), command.ErrUnknownCommand},
		"cut short":    {good[:len(good)-1], command.ErrMalformed},
		"more fields":  {append(bytes.Clone(good), unknown...), command.ErrUnknownCommand},
		"no kind":      {[]byte{byte(command.FirstVersion), 0x0A, 0x00}, command.ErrUnknownCommand},
		"no UTF-8":     {[]byte{byte(command.FirstVersion), 0x0A, 0x05, 0x1A, 0x03, 0x0A, 0x01, 0xFF}, command.ErrMalformed},
	}
	for name, c := range cases {
		if _, err := command.Decode(c.data, command.NewestVersion); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A message that is set but holds a field of a later version, at every place
// where there is one.
func TestDecodeRefusesUnknownFieldsEverywhere(t *testing.T) {
	t.Parallel()
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)
	places := map[string]func(*command.Entry) proto.Message{
		"entry":     func(e *command.Entry) proto.Message { return e },
		"command":   func(e *command.Entry) proto.Message { return e.GetCommands()[1] },
		"open term": func(e *command.Entry) proto.Message { return e.GetCommands()[0].GetOpenTerm() },
		"raise version": func(e *command.Entry) proto.Message {
			e.Commands = append(e.GetCommands(), raise(1).GetCommands()...)
			return e.GetCommands()[len(e.GetCommands())-1].GetRaiseVersion()
		},
		"transaction":   func(e *command.Entry) proto.Message { return transaction(e) },
		"precondition":  func(e *command.Entry) proto.Message { return transaction(e).GetPreconditions()[0] },
		"revision":      func(e *command.Entry) proto.Message { return transaction(e).GetPreconditions()[2].GetAtRevision() },
		"range":         func(e *command.Entry) proto.Message { return transaction(e).GetPreconditions()[3].GetRangeEmpty() },
		"write":         func(e *command.Entry) proto.Message { return transaction(e).GetWrites()[1] },
		"put":           func(e *command.Entry) proto.Message { return transaction(e).GetWrites()[0].GetPut() },
		"deleted range": func(e *command.Entry) proto.Message { return transaction(e).GetWrites()[2].GetDeleteRange() },
		"event":         func(e *command.Entry) proto.Message { return transaction(e).GetEvents()[1] },
	}
	for name, place := range places {
		entry := full()
		place(entry).ProtoReflect().SetUnknown(unknown)
		if _, err := command.Encode(entry, command.FirstVersion); !errors.Is(err, command.ErrUnknownCommand) {
			t.Errorf("%s: encoded with %v", name, err)
		}
		data, err := proto.Marshal(entry)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := command.Decode(append([]byte{byte(command.FirstVersion)}, data...), command.NewestVersion); !errors.Is(err, command.ErrUnknownCommand) {
			t.Errorf("%s: decoded with %v", name, err)
		}
	}
}

func transaction(e *command.Entry) *command.Transaction { return e.GetCommands()[1].GetTransaction() }

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	long := append([]byte{0x11}, make([]byte, command.MaxKeyBytes)...)
	large := make([]byte, command.MaxValueBytes+1)
	cases := map[string]struct {
		change func(tx *command.Transaction)
		err    error
	}{
		"identity":     {func(tx *command.Transaction) { tx.Id = tx.GetId()[:15] }, command.ErrInvalid},
		"no kind":      {func(tx *command.Transaction) { tx.Writes[0].Kind = nil }, command.ErrInvalid},
		"nothing":      {func(tx *command.Transaction) { tx.Preconditions[0] = nil }, command.ErrInvalid},
		"empty key":    {func(tx *command.Transaction) { tx.Writes[0].GetPut().Key = nil }, command.ErrInvalid},
		"reserved key": {func(tx *command.Transaction) { tx.Writes[0].GetPut().Key = []byte{0x05} }, command.ErrInvalid},
		"range":        {func(tx *command.Transaction) { tx.Preconditions[3].GetRangeEmpty().End = nil }, command.ErrInvalid},
		"long key":     {func(tx *command.Transaction) { tx.Writes[0].GetPut().Key = long }, command.ErrTooLarge},
		"long end":     {func(tx *command.Transaction) { tx.Writes[2].GetDeleteRange().End = append([]byte{0xFF}, long...) }, command.ErrTooLarge},
		"long question": {func(tx *command.Transaction) {
			tx.Preconditions[0].Kind = &command.Precondition_Absent{Absent: long}
		}, command.ErrTooLarge},
		"large value": {func(tx *command.Transaction) { tx.Writes[0].GetPut().Value = large }, command.ErrTooLarge},
		"large event": {func(tx *command.Transaction) { tx.Events[0].Payload = large }, command.ErrTooLarge},
		"large entry": {func(tx *command.Transaction) {
			half := &command.Event{Payload: large[1:]}
			tx.Events = []*command.Event{half, half}
		}, command.ErrTooLarge},
	}
	for name, c := range cases {
		entry := full()
		c.change(transaction(entry))
		if _, err := command.Encode(entry, command.FirstVersion); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := &command.Entry{Commands: make([]*command.Command, command.MaxCommands+1)}
	if _, err := command.Encode(many, command.FirstVersion); !errors.Is(err, command.ErrTooLarge) {
		t.Errorf("many commands: %v", err)
	}
	if err := transaction(full()).Validate(); err != nil {
		t.Error(err)
	}
}

func TestOutcomeNames(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[command.Outcome]string{
		command.Applied: "applied", command.Rejected: "rejected", command.Expired: "expired",
		command.Forgotten: "forgotten", 9: "unknown outcome 9",
	} {
		if got := outcome.String(); got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	data, err := command.Encode(full(), command.FirstVersion)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{})
	f.Add([]byte{byte(command.FirstVersion), 0x0A, 0x00})
	f.Fuzz(func(t *testing.T, data []byte) {
		entry, err := command.Decode(data, command.NewestVersion)
		if err != nil {
			if !errors.Is(err, command.ErrUnknownCommand) && !errors.Is(err, command.ErrMalformed) {
				t.Errorf("an error of no class: %v", err)
			}
			return
		}
		for _, c := range entry.GetCommands() {
			if tx := c.GetTransaction(); tx != nil {
				// Must decide, not panic.
				_ = tx.WellFormed()
			}
		}
		again, err := command.Encode(entry, command.FirstVersion)
		if err != nil {
			return
		}
		back, err := command.Decode(again, command.NewestVersion)
		if err != nil || !proto.Equal(entry, back) {
			t.Errorf("what was accepted does not come back: %v", err)
		}
	})
}
