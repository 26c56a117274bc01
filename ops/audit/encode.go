package audit

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of what comes from outside. A record has a place for few strings, so it
// is bounded too.
const (
	maxText    = 512
	maxList    = 16 << 10
	maxContext = 4 << 10
)

// What stands for the rest of a text or a list that was cut.
const (
	textCut = "…"
	listCut = "… "
)

// MaxLine is more than any line has: of all texts and lists, escaped.
const MaxLine = 256 << 10

// appendRecord writes a record as an object without its opening brace, so that a
// chain can put its fields before it.
func appendRecord(out []byte, r *Record) []byte {
	out = append(out, `"time":"`...)
	out = r.Time.UTC().AppendFormat(out, time.RFC3339Nano)
	out = append(out, '"')
	out = appendField(out, "node", r.Node)
	out = appendField(out, "event", string(r.Event))
	out = appendField(out, "request_id", r.RequestID)
	out = appendField(out, "principal", r.Principal)
	out = appendField(out, "principal_name", r.PrincipalName)
	out = appendField(out, "principal_type", r.PrincipalType)
	out = appendField(out, "tenant", r.Tenant)
	out = appendList(out, "groups", r.Groups)
	out = appendField(out, "source", r.Source)
	out = appendField(out, "action", r.Action)
	if r.Resource != nil {
		out = append(out, `,"resource":{"kind":`...)
		out = appendText(out, r.Resource.Kind)
		out = appendField(out, "warehouse", r.Resource.Warehouse)
		out = appendList(out, "namespace", r.Resource.Namespace)
		out = appendField(out, "name", r.Resource.Name)
		out = append(out, '}')
	}
	out = appendField(out, "decision", string(r.Decision))
	out = appendField(out, "reason", r.Reason)
	out = appendList(out, "policies", r.Policies)
	out = appendField(out, "policy_version", r.PolicyVersion)
	out = appendList(out, "restrictions", r.Restrictions)
	if context, ok := compactContext(r.Context); ok {
		out = append(append(out, `,"context":`...), context...)
	}
	out = appendNumber(out, "status", uint64(max(r.Status, 0)))
	out = appendField(out, "error", r.Error)
	out = appendNumber(out, "index", r.Index)
	out = appendNumber(out, "count", r.Count)
	return append(out, '}')
}

func appendField(out []byte, name, value string) []byte {
	if value == "" {
		return out
	}
	out = append(append(append(out, `,"`...), name...), `":`...)
	return appendText(out, value)
}

func appendNumber(out []byte, name string, value uint64) []byte {
	if value == 0 {
		return out
	}
	out = append(append(append(out, `,"`...), name...), `":`...)
	return strconv.AppendUint(out, value, 10)
}

func appendList(out []byte, name string, values []string) []byte {
	if len(values) == 0 {
		return out
	}
	out = append(append(append(out, `,"`...), name...), `":[`...)
	begin := len(out)
	for i, value := range values {
		if i > 0 {
			out = append(out, ',')
		}
		if len(out)-begin > maxList {
			out = appendText(out, listCut+strconv.Itoa(len(values)-i)+" more")
			break
		}
		out = appendText(out, value)
	}
	return append(out, ']')
}

// appendText writes a string that stays on its line and shows what it is: what
// does not print, such as line breaks, terminal codes, and marks that turn or hide
// text, is escaped. What is too long is cut.
func appendText(out []byte, s string) []byte {
	cut := len(s) > maxText
	if cut {
		end := maxText
		for end > maxText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	out = append(out, '"')
	for i := 0; i < len(s); {
		r, size := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		out = appendRune(out, s[i:i+size], r)
		i += size
	}
	if cut {
		out = append(out, textCut...)
	}
	return append(out, '"')
}

func appendRune(out []byte, raw string, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(out, '\\', byte(r))
	case r == utf8.RuneError && len(raw) == 1, !unicode.IsPrint(r) && r < 0x10000:
		return appendEscape(out, r)
	case !unicode.IsPrint(r):
		r -= 0x10000
		return appendEscape(appendEscape(out, 0xD800+r>>10), 0xDC00+r&0x3FF)
	}
	return append(out, raw...)
}

func appendEscape(out []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	return append(out, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}

// compactContext is a context as it goes into a line; ok is false where it has no
// place there. What is too long is left out whole, and said to be: part of it would
// be another one.
func compactContext(context json.RawMessage) (line []byte, ok bool) {
	if len(context) == 0 {
		return nil, false
	}
	var value map[string]any
	in := json.NewDecoder(bytes.NewReader(context))
	in.UseNumber()
	if len(context) > maxContext || in.Decode(&value) != nil {
		return []byte(`{"omitted":true}`), true
	}
	return appendValue(nil, value, 0), true
}
