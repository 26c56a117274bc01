package iceberg_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/internal/iceberg"
)

// Text must come through every way of storing it, however it was escaped.
func TestTextSurvives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("\\\"/\b\f\n\r\t\x00\u2028é😀{}[]:,a")))).Draw(rt, "text")
		var quoted []byte
		if rapid.Bool().Draw(rt, "escape everything") {
			quoted = append(quoted, '"')
			for _, unit := range text {
				if unit > 0xffff {
					unit -= 0x10000
					quoted = fmt.Appendf(quoted, `\u%04x\u%04X`, 0xd800+unit>>10, 0xdc00+unit&0x3ff)
				} else {
					quoted = fmt.Appendf(quoted, `\u%04X`, unit)
				}
			}
			quoted = append(quoted, '"')
		} else {
			var err error
			if quoted, err = json.Marshal(text); err != nil {
				rt.Fatal(err)
			}
		}
		table := newTable(t, "2", nil)
		table, _ = commit(t, testEnv(testNow), table, list(
			fmt.Sprintf(`{"action":"set-properties","updates":{%s:%s}}`, quoted, quoted),
			fmt.Sprintf(`{"action":"add-schema","schema":{"type":"struct","fields":[{"id":7,"name":%s,"doc":%s,"required":false,"type":"int"}]}}`, quoted, quoted),
			addSnapshot(1, 1, testNow, fmt.Sprintf(`,"future":{"x %s":[%s,1.50e+1]}`, quoted[1:len(quoted)-1], quoted)),
			fmt.Sprintf(`{"action":"set-snapshot-ref","ref-name":%s,"type":"tag","snapshot-id":1}`, quoted)))
		doc := decode(t, table.Document())
		schema := doc["schemas"].([]any)[1].(map[string]any)["fields"].([]any)[0].(map[string]any)
		future := doc["snapshots"].([]any)[0].(map[string]any)["future"].(map[string]any)
		got := []any{doc["properties"].(map[string]any)[text], schema["name"], schema["doc"], future["x "+text].([]any)[0], future["x "+text].([]any)[1]}
		if text == "format-version" {
			return
		}
		if d := cmp.Diff([]any{text, text, text, text, json.Number("1.50e+1")}, got); d != "" {
			rt.Errorf("text (-want +got):\n%s\n%s", d, table.Document())
		}
		if _, ok := table.Refs()[text]; !ok {
			rt.Errorf("ref is gone: %v", table.Refs())
		}
	})
}

// Everything that encoding/json refuses, we refuse; what we accept means the
// same to it.
func TestJSONAgreesWithStandardLibrary(t *testing.T) {
	t.Parallel()
	base := newTable(t, "2", nil)
	for _, value := range []string{
		`0`, `-0`, `1.5`, `1e5`, `1E-5`, `-1.25e+10`, `[]`, `[ ]`, `{ }`, `[1 , 2]`, `{"a" : [ {} , "x" ] }`, `true`, `false`, `"\u00e9\/\b\f"`, `"\ud83d\ude00"`,
		// And what is no JSON.
		`01`, `-`, `1.`, `.5`, `1e`, `1e+`, `+1`, `0x1`, `NaN`, `tru`, `nul`, `True`, `'a'`, `"a`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\t\"", `[1,]`, `[,1]`, `[1 2]`,
		`{"a":1,}`, `{,}`, `{"a"}`, `{"a" 1}`, `{1:2}`, `{"a":}`, `[`, `{`, `]`, `}`, `1 2`, `//x`, `"\udc00"`, `"\ud800\u0041"`, `"\ud800\udx00"`,
	} {
		doc := strings.Replace(string(base.Document()), `{"format-version"`, `{"future":`+value+`,"format-version"`, 1)
		table, err := iceberg.ParseTable([]byte(doc))
		valid := json.Valid([]byte(doc)) && !strings.Contains(value, `\udc00"`) && !strings.Contains(value, `\ud800`)
		if strings.Contains(value, `\ud83d`) {
			valid = true
		}
		if valid != (err == nil) {
			t.Errorf("%s: accepted %v (%v), want %v", value, err == nil, err, valid)
			continue
		}
		if err == nil {
			checkHolds(t, value, decode(t, []byte(doc)), decode(t, table.Document()))
		}
	}
}

// Depth and size of a request must not multiply.
func TestDeepAndLargeElementIsReadOnce(t *testing.T) {
	t.Parallel()
	const depth, size = 300, 1 << 20
	deep := strings.Repeat(`{"x":null,"y":[`, depth/2) + `"` + strings.Repeat("x", size) + `"` + strings.Repeat(`]}`, depth/2)
	_, changes := commit(t, testEnv(testNow), newTable(t, "2", nil), list(addSnapshot(1, 1, testNow, `,"future":`+deep)))
	want := strings.ReplaceAll(deep, `"x":null,`, "")
	if got := string(changes.Put[0].JSON); !strings.Contains(got, want) {
		t.Errorf("the element lost something: %d bytes", len(got))
	}
}
