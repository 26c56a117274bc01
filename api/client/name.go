package client

import (
	"errors"
	"fmt"
	"strings"
)

// Name is a path of names as people write it: levels with dots between them.
// A level that holds a dot or a quote stands in double quotes, in which two quotes
// are one, as in SQL: a."b.c".t is three levels.
type Name []string

// ParseName reads a name.
func ParseName(text string) (Name, error) {
	var name Name
	for rest := text; ; {
		var level string
		var err error
		if level, rest, err = cutLevel(rest); err != nil {
			return nil, fmt.Errorf("%w in the name %s", err, text)
		}
		if level == "" {
			return nil, fmt.Errorf("an empty level in the name %q", text)
		}
		name = append(name, level)
		if rest == "" {
			return name, nil
		}
		rest = rest[1:]
	}
}

// cutLevel reads one level; rest is empty or begins with the dot after it.
func cutLevel(text string) (level, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexByte(text, '.')
		if end < 0 {
			end = len(text)
		}
		if strings.Contains(text[:end], `"`) {
			return "", "", errors.New(`a quote that does not stand around a whole level (write a."b.c", and "" for a quote inside quotes)`)
		}
		return text[:end], text[end:], nil
	}
	for i := 1; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		if strings.HasPrefix(text[i+1:], `"`) {
			i++
			continue
		}
		rest = text[i+1:]
		if rest != "" && rest[0] != '.' {
			return "", "", errors.New("something between a closing quote and the next dot")
		}
		return strings.ReplaceAll(text[1:i], `""`, `"`), rest, nil
	}
	return "", "", errors.New("a quote that is not closed")
}

// String is the name as ParseName reads it.
func (n Name) String() string {
	levels := make([]string, len(n))
	for i, level := range n {
		levels[i] = level
		if level == "" || strings.ContainsAny(level, `." `) {
			levels[i] = `"` + strings.ReplaceAll(level, `"`, `""`) + `"`
		}
	}
	return strings.Join(levels, ".")
}

// Split is the namespace and the name in it of a table or a view.
func (n Name) Split() (namespace Name, name string) { return n[:len(n)-1], n[len(n)-1] }
