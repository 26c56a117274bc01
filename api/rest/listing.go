package rest

import (
	"io"
	"net/http"

	"github.com/floeberg/floeberg/api/rest/wire"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/internal/catalog"
)

// listing is a reply that is written while the listing is read: however many
// entries there are, few of them are held at one time.
func listing[T any](c *serve.Call, list *catalog.List[T], field string, appendTo func([]byte, T) []byte) *serve.Reply {
	each := func(fn func(T) error) (next string, err error) { return list.Each(c.Request.Context(), fn) }
	return &serve.Reply{
		Status: http.StatusOK, Index: list.Index, Close: list.Close,
		Stream: func(w io.Writer) error { return wire.WriteList(w, field, each, appendTo) },
	}
}

func identifiers(c *serve.Call, list *catalog.List[catalog.Identifier]) *serve.Reply {
	return listing(c, list, "identifiers", func(dst []byte, id catalog.Identifier) []byte {
		return wire.AppendIdentifier(dst, wire.Identifier{Namespace: id.Namespace, Name: id.Name})
	})
}
