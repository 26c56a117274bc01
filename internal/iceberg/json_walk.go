package iceberg

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions of this file walk over compact JSON that compactJSON has
// checked, or that comes back from the store. They look only at what they need
// and skip the rest, and they report damage instead of trusting the input.

// cursor steps over the members of an object or the elements of an array.
type cursor struct {
	b    []byte
	i    int
	end  byte
	key  []byte // name of the member, unescaped; nil in an array
	val  []byte
	bad  bool
	done bool
}

func walkObject(raw []byte) cursor { return open(raw, '{', '}') }
func walkArray(raw []byte) cursor  { return open(raw, '[', ']') }

func open(raw []byte, first, end byte) cursor {
	c := cursor{b: raw, i: 1, end: end}
	if len(raw) < 2 || raw[0] != first || raw[len(raw)-1] != end {
		c.bad = true
	} else if len(raw) == 2 {
		c.done = true
	}
	return c
}

// next moves to the following member or element. It returns false at the end
// and at damage; bad tells which.
func (c *cursor) next() bool {
	if c.bad || c.done {
		return false
	}
	if c.end == '}' {
		n := stringEnd(c.b, c.i)
		if n < 0 || n >= len(c.b) || c.b[n] != ':' {
			c.bad = true
			return false
		}
		c.key = c.b[c.i+1 : n-1]
		if bytes.IndexByte(c.key, '\\') >= 0 {
			c.key = unescape(c.key)
		}
		c.i = n + 1
	}
	n := valueEnd(c.b, c.i)
	if n < 0 || n >= len(c.b) {
		c.bad = true
		return false
	}
	c.val = c.b[c.i:n:n]
	switch {
	case c.b[n] == ',':
		c.i = n + 1
	case c.b[n] == c.end && n == len(c.b)-1:
		c.done = true
	default:
		c.bad = true
		return false
	}
	return true
}

// stringEnd returns the index after the string that begins at b[i], -1 if there
// is none.
func stringEnd(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	j := i + 1
	for {
		k := bytes.IndexByte(b[j:], '"')
		if k < 0 {
			return -1
		}
		j += k
		slashes := 0
		for j-1-slashes > i && b[j-1-slashes] == '\\' {
			slashes++
		}
		j++
		if slashes%2 == 0 {
			return j
		}
	}
}

// valueEnd returns the index after the value that begins at b[i], -1 if there
// is none.
func valueEnd(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				if i = stringEnd(b, i); i < 0 {
					return -1
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return -1
	}
	start := i
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// unescape returns the content of a string without its escapes.
func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		if b[i] != '\\' || i+1 >= len(b) {
			out = append(out, b[i])
			i++
			continue
		}
		i += 2
		switch e := b[i-1]; e {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := hex4(b[i:])
			if !ok {
				out = utf8.AppendRune(out, utf8.RuneError)
				break
			}
			i += 4
			if utf16.IsSurrogate(r) && len(b) >= i+6 {
				low, _ := hex4(b[i+2:])
				r = utf16.DecodeRune(r, low)
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, e)
		}
	}
	return out
}

func isNull(raw []byte) bool { return string(raw) == "null" }

func decodeString(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return "", false
	}
	content := raw[1 : len(raw)-1]
	if bytes.IndexByte(content, '\\') >= 0 {
		content = unescape(content)
	}
	return string(content), true
}

// decodeInt reads an integer. Text with a fraction or an exponent is none, even
// if its value is whole: that is how Iceberg's own parsers see it.
func decodeInt(raw []byte, bits int) (int64, bool) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	n, err := strconv.ParseInt(string(raw), 10, bits)
	return n, err == nil
}

func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		b := s[i]
		if b >= 0x20 && b != '"' && b != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch b {
		case '"', '\\':
			dst = append(dst, '\\', b)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		}
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

// appendName begins a member, with the comma that it may need.
func appendName(dst []byte, name string) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '{' {
		dst = append(dst, ',')
	}
	dst = appendString(dst, name)
	return append(dst, ':')
}

func appendIntMember(dst []byte, name string, n int64) []byte {
	return strconv.AppendInt(appendName(dst, name), n, 10)
}

func appendStringMember(dst []byte, name, s string) []byte {
	return appendString(appendName(dst, name), s)
}

func appendRawMember(dst []byte, name string, raw []byte) []byte {
	return append(appendName(dst, name), raw...)
}

// appendWithoutNulls copies compact JSON and leaves out members that are null.
// Iceberg's parsers take an absent member where they refuse a null one, so what
// means the same is stored in the form that everyone reads. It goes over the
// text once, however deep that is nested.
func appendWithoutNulls(dst, raw []byte) []byte {
	start := len(dst)
	separate := func() {
		if n := len(dst); n > start && dst[n-1] != '{' && dst[n-1] != '[' && dst[n-1] != ':' {
			dst = append(dst, ',')
		}
	}
	for i := 0; i < len(raw); {
		switch raw[i] {
		case ',':
			i++
		case '}', ']':
			dst = append(dst, raw[i])
			i++
		case '{', '[':
			separate()
			dst = append(dst, raw[i])
			i++
		default:
			end := valueEnd(raw, i)
			if end < 0 {
				return append(dst, raw[i:]...)
			}
			if isName := end < len(raw) && raw[end] == ':'; isName {
				end++
				if bytes.HasPrefix(raw[end:], []byte("null")) {
					i = end + len("null")
					continue
				}
			}
			separate()
			dst = append(dst, raw[i:end]...)
			i = end
		}
	}
	return dst
}

// excerpt shortens raw text for an error message.
func excerpt(raw []byte) string {
	const most = 200
	if len(raw) <= most {
		return string(raw)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(raw[cut]) {
		cut--
	}
	return string(raw[:cut]) + "…"
}
