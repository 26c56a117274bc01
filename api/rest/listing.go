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
func listing[T any](list *catalog.List[T], field string, appendTo func([]byte, T) []byte) *serve.Reply {
	return &serve.Reply{
		Status: http.StatusOK, Index: list.Index, Close: list.Close,
		Stream: func(w io.Writer) error { return wire.WriteList(w, field, list.Each, appendTo) },
	}
}

func identifiers(list *catalog.List[catalog.Identifier]) *serve.Reply {
	return listing(list, "identifiers", func(dst []byte, id catalog.Identifier) []byte {
		return wire.AppendIdentifier(dst, wire.Identifier{Namespace: id.Namespace, Name: id.Name})
	})
}
