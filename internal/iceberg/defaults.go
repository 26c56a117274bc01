package iceberg

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// checkDefault checks that raw is a value of type t in the single-value form of
// the format. The value itself is kept as text and never converted.
func checkDefault(t *Type, raw []byte) error {
	if isNull(raw) {
		return nil
	}
	ok := false
	switch t.Kind {
	case KindBoolean:
		ok = string(raw) == "true" || string(raw) == "false"
	case KindInt:
		_, ok = decodeInt(raw, 32)
	case KindLong:
		_, ok = decodeInt(raw, 64)
	case KindFloat, KindDouble:
		// A whole number without a fraction is refused, as readers refuse the
		// whole document for it.
		ok = raw[0] != '"' && raw[0] != '{' && raw[0] != '[' && raw[0] != 't' && raw[0] != 'f' && bytes.ContainsAny(raw, ".eE")
	case KindList:
		return checkArrayDefault(t.Fields[0].Type, t, raw)
	case KindMap:
		return checkMapDefault(t, raw)
	case KindStruct:
		return checkStructDefault(t, raw)
	case KindUnknown, KindVariant, KindGeometry, KindGeography:
		return invalidf("Cannot parse default: type %s has no default but null", t)
	default:
		if text, isString := decodeString(raw); isString {
			ok = isTextValue(t, text)
		}
	}
	if !ok {
		return invalidf("Cannot parse default as a %s value: %s", t, excerpt(raw))
	}
	return nil
}

func isTextValue(t *Type, s string) bool {
	switch t.Kind {
	case KindString:
		return true
	case KindUUID:
		return isUUIDText(s)
	case KindFixed:
		return len(s) == 2*t.length && isHex(s)
	case KindBinary:
		return len(s)%2 == 0 && isHex(s)
	case KindDecimal:
		scale, ok := decimalScale(s)
		return ok && scale == t.scale
	case KindDate:
		return isDate(s)
	case KindTime:
		return isTime(s)
	case KindTimestamp, KindTimestampNs:
		return isDateTime(s)
	case KindTimestamptz, KindTimestamptzNs:
		s, ok := strings.CutSuffix(s, "+00:00")
		return ok && isDateTime(s)
	}
	return false
}

func checkArrayDefault(elem, t *Type, raw []byte) error {
	c := walkArray(raw)
	for c.next() {
		if err := checkDefault(elem, c.val); err != nil {
			return err
		}
	}
	if c.bad {
		return invalidf("Cannot parse default as a %s value: %s", t, excerpt(raw))
	}
	return nil
}

func checkMapDefault(t *Type, raw []byte) error {
	r := readObject(raw, "default")
	keys, values := r.array("keys"), r.array("values")
	if r.err != nil || len(keys) != len(values) {
		return invalidf("Cannot parse %s to a map value", excerpt(raw))
	}
	for i := range keys {
		if err := checkDefault(t.Fields[0].Type, keys[i]); err != nil {
			return err
		}
		if err := checkDefault(t.Fields[1].Type, values[i]); err != nil {
			return err
		}
	}
	return nil
}

func checkStructDefault(t *Type, raw []byte) error {
	r := readObject(raw, "default")
	if r.err != nil {
		return invalidf("Cannot parse default as a struct value: %s", excerpt(raw))
	}
	for i := range t.Fields {
		if value, ok := r.optional(strconv.Itoa(t.Fields[i].ID)); ok {
			if err := checkDefault(t.Fields[i].Type, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func isHex(s string) bool {
	for _, b := range []byte(s) {
		if !(b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F') {
			return false
		}
	}
	return true
}

func isUUIDText(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, group := range strings.Split(s, "-") {
		if i > 4 || len(group) != []int{8, 4, 4, 4, 12}[i] || !isHex(group) {
			return false
		}
	}
	return true
}

// decimalScale is the number of digits after the point, less the exponent.
func decimalScale(s string) (int, bool) {
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		n, err := strconv.ParseInt(s[i+1:], 10, 32)
		if err != nil {
			return 0, false
		}
		mantissa, exponent = s[:i], int(n)
	}
	if mantissa != "" && (mantissa[0] == '-' || mantissa[0] == '+') {
		mantissa = mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole+fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, false
	}
	return len(fraction) - exponent, true
}

func isDate(s string) bool {
	// Years outside 0000 to 9999 carry a sign and more digits; the calendar
	// repeats every 400 years, so the last four digits decide about leap days.
	if s != "" && (s[0] == '-' || s[0] == '+') {
		i := strings.IndexByte(s[1:], '-') + 1
		if i < 5 || i > 10 || strings.Trim(s[1:i], "0123456789") != "" {
			return false
		}
		s = s[i-4:]
	}
	_, err := time.Parse("2006-01-02", s)
	return err == nil
}

func isTime(s string) bool {
	hours, fraction, found := strings.Cut(s, ".")
	if found && (len(fraction) > 9 || strings.Trim(fraction, "0123456789") != "") {
		return false
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if _, err := time.Parse(layout, hours); err == nil {
			return len(hours) == len(layout) && (!found || layout == "15:04:05")
		}
	}
	return false
}

func isDateTime(s string) bool {
	date, clock, ok := strings.Cut(s, "T")
	return ok && isDate(date) && isTime(clock)
}
