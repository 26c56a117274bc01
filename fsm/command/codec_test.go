package command_test

import (
	"bytes"
	"errors"
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

func TestEncodeDecode(t *testing.T) {
	t.Parallel()
	for name, entry := range map[string]*command.Entry{"full": full(), "empty": {}} {
		data, err := command.Encode(entry)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if data[0] != command.FormatVersion {
			t.Errorf("%s: format byte %d", name, data[0])
		}
		got, err := command.Decode(data)
		if err != nil || !proto.Equal(entry, got) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	good, err := command.Encode(full())
	if err != nil {
		t.Fatal(err)
	}
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)
	cases := map[string]struct {
		data []byte
		err  error
	}{
		"nothing":      {nil, command.ErrMalformed},
		"newer format": {append([]byte{command.FormatVersion + 1}, good[1:]...), command.ErrUnknownCommand},
		"cut short":    {good[:len(good)-1], command.ErrMalformed},
		"more fields":  {append(bytes.Clone(good), unknown...), command.ErrUnknownCommand},
		"no kind":      {[]byte{command.FormatVersion, 0x0A, 0x00}, command.ErrUnknownCommand},
		"no UTF-8":     {[]byte{command.FormatVersion, 0x0A, 0x05, 0x1A, 0x03, 0x0A, 0x01, 0xFF}, command.ErrMalformed},
	}
	for name, c := range cases {
		if _, err := command.Decode(c.data); !errors.Is(err, c.err) {
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
		"entry":         func(e *command.Entry) proto.Message { return e },
		"command":       func(e *command.Entry) proto.Message { return e.GetCommands()[1] },
		"open term":     func(e *command.Entry) proto.Message { return e.GetCommands()[0].GetOpenTerm() },
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
		if _, err := command.Encode(entry); !errors.Is(err, command.ErrUnknownCommand) {
			t.Errorf("%s: encoded with %v", name, err)
		}
		data, err := proto.Marshal(entry)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := command.Decode(append([]byte{command.FormatVersion}, data...)); !errors.Is(err, command.ErrUnknownCommand) {
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
		if _, err := command.Encode(entry); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := &command.Entry{Commands: make([]*command.Command, command.MaxCommands+1)}
	if _, err := command.Encode(many); !errors.Is(err, command.ErrTooLarge) {
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
	data, err := command.Encode(full())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{})
	f.Add([]byte{command.FormatVersion, 0x0A, 0x00})
	f.Fuzz(func(t *testing.T, data []byte) {
		entry, err := command.Decode(data)
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
		again, err := command.Encode(entry)
		if err != nil {
			return
		}
		back, err := command.Decode(again)
		if err != nil || !proto.Equal(entry, back) {
			t.Errorf("what was accepted does not come back: %v", err)
		}
	})
}
