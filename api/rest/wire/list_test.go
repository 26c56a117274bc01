package wire_test

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/api/rest/wire"
)

// Entries of a listing are written by hand: they must be what encoding/json
// would have written, whatever the names.
func TestEntriesAreWrittenAsJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.OneOf(rapid.String(), rapid.StringN(0, 8, -1), rapid.SampledFrom([]string{
			"", `"`, `\`, "<a>&", "\x00", "\x7f", "é", "\u2028", "\xff", "plain_name-1.x y",
		}))
		id := wire.Identifier{Namespace: rapid.SliceOfN(names, 1, 4).Draw(t, "namespace"), Name: names.Draw(t, "name")}
		for got, as := range map[string]any{
			string(wire.AppendIdentifier([]byte(","), id)):          id,
			string(wire.AppendNamespace([]byte(","), id.Namespace)): id.Namespace,
		} {
			want, err := json.Marshal(as)
			if err != nil {
				t.Fatal(err)
			}
			if got != ","+string(want) {
				t.Errorf("got %s, want ,%s", got, want)
			}
		}
	})
}
