package rest

import (
	"errors"
	"strconv"
	"strings"

	"github.com/floeberg/floeberg/internal/catalog"
)

// page reads which part of a listing is asked for.
func (c *call) page() (catalog.Page, error) {
	page := catalog.Page{Paged: c.query.Has("pageToken"), Token: c.query.Get("pageToken")}
	if !c.query.Has("pageSize") {
		return page, nil
	}
	text := c.query.Get("pageSize")
	size, err := strconv.ParseInt(text, 10, 32)
	switch {
	case errors.Is(err, strconv.ErrRange) && size > 0:
		// More than can be counted is as good as all: it is only an upper bound.
	case err != nil || size < 1:
		return page, badRequest("Invalid query: pageSize must be a positive number, not %q", text)
	}
	page.Size = int(size)
	return page, nil
}

// refsOnly reads which snapshots of a table are asked for.
func (c *call) refsOnly() (bool, error) {
	if !c.query.Has("snapshots") {
		return false, nil
	}
	switch mode := c.query.Get("snapshots"); strings.ToLower(mode) {
	case "all":
		return false, nil
	case "refs":
		return true, nil
	default:
		return false, badRequest("Invalid query: snapshots must be all or refs, not %q", mode)
	}
}

// purge reads whether a table's files are to go too. Python clients write True.
func (c *call) purge() (bool, error) {
	if !c.query.Has("purgeRequested") {
		return false, nil
	}
	switch text := c.query.Get("purgeRequested"); strings.ToLower(text) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, badRequest("Invalid query: purgeRequested must be true or false, not %q", text)
	}
}
