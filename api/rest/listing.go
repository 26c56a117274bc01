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
func listing[T any](list *catalog.List[T], field string, shown func(T) any) *serve.Reply {
	return &serve.Reply{
		Status: http.StatusOK, Index: list.Index, Close: list.Close,
		Stream: func(w io.Writer) error { return wire.WriteList(w, field, list.Each, shown) },
	}
}

func identifiers(list *catalog.List[catalog.Identifier]) *serve.Reply {
	return listing(list, "identifiers", func(id catalog.Identifier) any {
		return wire.Identifier{Namespace: id.Namespace, Name: id.Name}
	})
}
