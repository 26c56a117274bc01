package wire

import (
	"encoding/json"
	"io"
	"unicode/utf8"
)

// WriteList writes a listing under a field's name, one entry after the other as
// each hands them over, and the token of the next page where there is one.
func WriteList[T any](w io.Writer, field string, each func(func(T) error) (next string, err error), appendTo func([]byte, T) []byte) error {
	if _, err := io.WriteString(w, `{"`+field+`":[`); err != nil {
		return err
	}
	var buf []byte
	next, err := each(func(entry T) error {
		if buf != nil {
			buf = append(buf[:0], ',')
		}
		buf = appendTo(buf, entry)
		_, err := w.Write(buf)
		return err
	})
	if err != nil {
		return err
	}
	tail := []byte("]")
	if next != "" {
		tail = appendString(append(tail, `,"next-page-token":`...), next)
	}
	_, err = w.Write(append(tail, '}'))
	return err
}

// AppendNamespace writes a namespace as a listing has it.
func AppendNamespace(dst []byte, path []string) []byte {
	dst = append(dst, '[')
	for i, level := range path {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, level)
	}
	return append(dst, ']')
}

// AppendIdentifier writes an identifier as a listing has it: without
// encoding/json, which would take half of the time for a page.
func AppendIdentifier(dst []byte, id Identifier) []byte {
	dst = AppendNamespace(append(dst, `{"namespace":`...), id.Namespace)
	dst = appendString(append(dst, `,"name":`...), id.Name)
	return append(dst, '}')
}

// appendString writes a string as encoding/json does, which is asked only where
// something has to be escaped.
func appendString(dst []byte, s string) []byte {
	for _, c := range []byte(s) {
		if c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string can always be written
			return append(dst, quoted...)
		}
	}
	dst = append(append(dst, '"'), s...)
	return append(dst, '"')
}
