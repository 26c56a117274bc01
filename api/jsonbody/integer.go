package jsonbody

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Integer is a whole number in a body, in whichever way JSON can write it: 17.0 and
// 1.7e1 are the number 17, to clients that have no other kind of number.
type Integer int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *Integer) UnmarshalJSON(raw []byte) error {
	wrong := func(value string) error {
		return &json.UnmarshalTypeError{Value: value, Type: reflect.TypeFor[Integer]()}
	}
	switch raw[0] {
	case 'n': // null leaves it as it is
		return nil
	case '"':
		return wrong("string")
	case 't', 'f':
		return wrong("bool")
	case '[':
		return wrong("array")
	case '{':
		return wrong("object")
	}
	value, ok := parseInteger(string(raw))
	if !ok {
		return wrong("number " + string(raw))
	}
	*n = Integer(value)
	return nil
}

// parseInteger reads a number of JSON, digit by digit: no digit is lost. Not ok is
// one that has a fraction, or more than 64 bits.
func parseInteger(text string) (value int64, ok bool) {
	sign := ""
	if text[0] == '-' {
		sign, text = "-", text[1:]
	}
	scale := 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		n, err := strconv.Atoi(text[i+1:])
		if err != nil {
			// So large that only its sign matters.
			n = math.MaxInt32
			if text[i+1] == '-' {
				n = -n
			}
		}
		text, scale = text[:i], n
	}
	whole, fraction, _ := strings.Cut(text, ".")
	scale -= len(fraction)
	digits := strings.TrimLeft(whole+fraction, "0")
	significant := strings.TrimRight(digits, "0")
	scale += len(digits) - len(significant)
	const most = 19 // digits of the largest number
	switch {
	case significant == "":
		return 0, true
	case scale < 0 || scale > most || len(significant)+scale > most:
		return 0, false
	}
	value, err := strconv.ParseInt(sign+significant+strings.Repeat("0", scale), 10, 64)
	return value, err == nil
}

// Natural is the number of a field that can't be negative.
func (n Integer) Natural(field string) (uint64, error) {
	if n < 0 {
		return 0, Fault(field, "must be 0 or more")
	}
	return uint64(n), nil
}
