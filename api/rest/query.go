package rest

import (
	"errors"
	"strconv"
	"strings"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/internal/catalog"
)

// page reads which part of a listing is asked for.
func page(c *serve.Call) (catalog.Page, error) {
	p := catalog.Page{Paged: c.Query.Has("pageToken"), Token: c.Query.Get("pageToken")}
	if !c.Query.Has("pageSize") {
		return p, nil
	}
	text := c.Query.Get("pageSize")
	size, err := strconv.ParseInt(text, 10, 32)
	switch {
	case errors.Is(err, strconv.ErrRange) && size > 0:
		// More than can be counted is as good as all: it is only an upper bound.
	case err != nil || size < 1:
		return p, serve.BadRequest("Invalid query: pageSize must be a positive number, not %q", text)
	}
	p.Size = int(size)
	return p, nil
}

// refsOnly reads which snapshots of a table are asked for.
func refsOnly(c *serve.Call) (bool, error) {
	if !c.Query.Has("snapshots") {
		return false, nil
	}
	switch mode := c.Query.Get("snapshots"); strings.ToLower(mode) {
	case "all":
		return false, nil
	case "refs":
		return true, nil
	default:
		return false, serve.BadRequest("Invalid query: snapshots must be all or refs, not %q", mode)
	}
}

// purgeRequested reads whether a table's files are to go too. Python clients write True.
func purgeRequested(c *serve.Call) (bool, error) {
	if !c.Query.Has("purgeRequested") {
		return false, nil
	}
	switch text := c.Query.Get("purgeRequested"); strings.ToLower(text) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, serve.BadRequest("Invalid query: purgeRequested must be true or false, not %q", text)
	}
}
