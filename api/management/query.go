package management

import (
	"strconv"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/internal/catalog"
)

// pageQuery is the parameters of every listing.
var pageQuery = []string{"page_token", "page_size"}

// page reads which part of a listing is asked for. All listings here are paged.
func page(c *serve.Call) (catalog.Page, error) {
	p := catalog.Page{Paged: true, Token: c.Query.Get("page_token")}
	if !c.Query.Has("page_size") {
		return p, nil
	}
	text := c.Query.Get("page_size")
	size, err := strconv.ParseInt(text, 10, 32)
	if err != nil || size < 1 {
		return p, serve.BadRequest("Invalid query: page_size must be a positive number, not %q", text)
	}
	p.Size = int(size)
	return p, nil
}
