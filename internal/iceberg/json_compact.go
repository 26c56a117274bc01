package iceberg

import (
	"bytes"
	"unicode/utf8"
)

// maxJSONDepth bounds the recursion over a document from outside. A schema may
// nest maxSchemaDepth deep and takes up to four JSON levels for each.
const maxJSONDepth = 4*maxSchemaDepth + 20

// smallObject is the number of members up to which names are compared one by
// one; beyond it a set is cheaper.
const smallObject = 16

// compactor checks JSON text and copies it without insignificant white space.
// It is stricter than most parsers where they disagree among themselves: names
// twice in one object, invalid UTF-8 and halves of surrogate pairs are refused,
// because two readers of the same stored bytes must not see different tables.
type compactor struct {
	src  []byte
	pos  int
	dst  []byte
	keys [][]byte // names of the objects that are open, innermost last
}

// compactJSON returns src, checked and without white space, in new memory.
func compactJSON(src []byte) ([]byte, error) {
	c := compactor{src: src, dst: make([]byte, 0, len(src))}
	c.space()
	if err := c.value(0); err != nil {
		return nil, err
	}
	c.space()
	if c.pos != len(c.src) {
		return nil, c.fail("text after the value")
	}
	return c.dst, nil
}

func (c *compactor) fail(what string) error {
	return invalidf("Cannot parse JSON at byte %d: %s", c.pos, what)
}

func (c *compactor) space() {
	for c.pos < len(c.src) {
		switch c.src[c.pos] {
		case ' ', '\t', '\n', '\r':
			c.pos++
		default:
			return
		}
	}
}

// take moves one expected byte over and skips the space after it.
func (c *compactor) take() {
	c.dst = append(c.dst, c.src[c.pos])
	c.pos++
	c.space()
}

func (c *compactor) peek() byte {
	if c.pos < len(c.src) {
		return c.src[c.pos]
	}
	return 0
}

func (c *compactor) value(depth int) error {
	if depth > maxJSONDepth {
		return c.fail("nested too deep")
	}
	switch b := c.peek(); {
	case b == '{':
		return c.object(depth)
	case b == '[':
		return c.array(depth)
	case b == '"':
		_, err := c.str()
		return err
	case b == '-' || b >= '0' && b <= '9':
		return c.number()
	}
	for _, word := range []string{"null", "true", "false"} {
		if bytes.HasPrefix(c.src[c.pos:], []byte(word)) {
			c.dst = append(c.dst, word...)
			c.pos += len(word)
			return nil
		}
	}
	if c.pos >= len(c.src) {
		return c.fail("unexpected end")
	}
	return c.fail("unexpected character")
}

func (c *compactor) object(depth int) error {
	first := len(c.keys)
	defer func() { c.keys = c.keys[:first] }()
	var seen map[string]struct{}
	c.take()
	for c.peek() != '}' {
		if len(c.keys) > first {
			if c.peek() != ',' {
				return c.fail("expected a comma or the end of an object")
			}
			c.take()
		}
		if c.peek() != '"' {
			return c.fail("expected the name of a member")
		}
		key, err := c.str()
		if err != nil {
			return err
		}
		open := c.keys[first:]
		twice := false
		switch {
		case len(open) < smallObject:
			for _, k := range open {
				twice = twice || bytes.Equal(k, key)
			}
		default:
			if seen == nil {
				seen = make(map[string]struct{}, 2*smallObject)
				for _, k := range open {
					seen[string(k)] = struct{}{}
				}
			}
			_, twice = seen[string(key)]
			seen[string(key)] = struct{}{}
		}
		if twice {
			return c.fail("member " + excerpt(key) + " appears twice")
		}
		c.keys = append(c.keys, key)
		c.space()
		if c.peek() != ':' {
			return c.fail("expected a colon")
		}
		c.take()
		if err := c.value(depth + 1); err != nil {
			return err
		}
		c.space()
	}
	c.dst = append(c.dst, '}')
	c.pos++
	return nil
}

func (c *compactor) array(depth int) error {
	c.take()
	for n := 0; c.peek() != ']'; n++ {
		if n > 0 {
			if c.peek() != ',' {
				return c.fail("expected a comma or the end of an array")
			}
			c.take()
		}
		if err := c.value(depth + 1); err != nil {
			return err
		}
		c.space()
	}
	c.dst = append(c.dst, ']')
	c.pos++
	return nil
}

// str copies a string and returns its content, unescaped.
func (c *compactor) str() ([]byte, error) {
	start := c.pos
	i := start + 1
	escaped := false
	for {
		if i >= len(c.src) {
			return nil, c.fail("string without end")
		}
		b := c.src[i]
		if b == '"' {
			break
		}
		if b < 0x20 {
			return nil, c.fail("control character in a string")
		}
		if b == '\\' {
			n := escapeLen(c.src[i:])
			if n == 0 {
				return nil, c.fail("invalid escape in a string")
			}
			escaped = true
			i += n
			continue
		}
		i++
	}
	content := c.src[start+1 : i]
	if !utf8.Valid(content) {
		return nil, c.fail("string is not UTF-8")
	}
	c.dst = append(c.dst, c.src[start:i+1]...)
	c.pos = i + 1
	if escaped {
		content = unescape(content)
	}
	return content, nil
}

func (c *compactor) number() error {
	start := c.pos
	digits := func() bool {
		from := c.pos
		for c.pos < len(c.src) && c.src[c.pos] >= '0' && c.src[c.pos] <= '9' {
			c.pos++
		}
		return c.pos > from
	}
	if c.peek() == '-' {
		c.pos++
	}
	if c.peek() == '0' {
		c.pos++
	} else if !digits() {
		return c.fail("invalid number")
	}
	if c.peek() == '.' {
		c.pos++
		if !digits() {
			return c.fail("invalid number")
		}
	}
	if b := c.peek(); b == 'e' || b == 'E' {
		c.pos++
		if b := c.peek(); b == '+' || b == '-' {
			c.pos++
		}
		if !digits() {
			return c.fail("invalid number")
		}
	}
	c.dst = append(c.dst, c.src[start:c.pos]...)
	return nil
}

// escapeLen is the length of the escape that b begins with, 0 if it is none.
// The two halves of a surrogate pair count as one escape.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		r, ok := hex4(b[2:])
		switch {
		case !ok || r >= 0xdc00 && r < 0xe000:
			return 0
		case r < 0xd800 || r >= 0xe000:
			return 6
		}
		if len(b) < 12 || b[6] != '\\' || b[7] != 'u' {
			return 0
		}
		if low, ok := hex4(b[8:]); !ok || low < 0xdc00 || low >= 0xe000 {
			return 0
		}
		return 12
	}
	return 0
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
