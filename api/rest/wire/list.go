package wire

import (
	"encoding/json"
	"io"
)

// WriteList writes a listing under a field's name, one entry after the other as
// each hands them over, and the token of the next page where there is one.
func WriteList[T any](w io.Writer, field string, each func(func(T) error) (next string, err error), shown func(T) any) error {
	if _, err := io.WriteString(w, `{"`+field+`":[`); err != nil {
		return err
	}
	var buf []byte
	next, err := each(func(entry T) error {
		data, err := json.Marshal(shown(entry))
		if err != nil {
			return err
		}
		if buf != nil {
			buf = append(buf[:0], ',')
		}
		buf = append(buf, data...)
		_, err = w.Write(buf)
		return err
	})
	if err != nil {
		return err
	}
	tail := []byte("]")
	if next != "" {
		quoted, err := json.Marshal(next)
		if err != nil {
			return err
		}
		tail = append(append(tail, `,"next-page-token":`...), quoted...)
	}
	_, err = w.Write(append(tail, '}'))
	return err
}
