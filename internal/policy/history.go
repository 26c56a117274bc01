package policy

import (
	"context"
	"strconv"

	"github.com/floeberg/floeberg/internal/catalog"
)

// Sizes of pages of a history.
const (
	defaultPage = 100
	maxPage     = maxVersions
)

// History is a page of a set's versions, the newest first, without their texts.
type History struct {
	Versions []*Version
	// Next is the token of the next page; "" on the last one.
	Next  string
	Index uint64
}

// History returns the versions of a scope's policies that are kept.
func (p *Policies) History(ctx context.Context, read catalog.Read, scope string, page catalog.Page) (*History, error) {
	v, h, err := p.look(ctx, read, scope)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	newest := h.GetVersion()
	if page.Token != "" {
		// A token is the last version that was shown: what is put meanwhile moves nothing.
		before, err := strconv.ParseUint(page.Token, 10, 64)
		if err != nil || before == 0 || before > newest {
			return nil, catalog.Refuse(catalog.KindInvalid, "Invalid page token: it is not one that this listing gave; start without a token")
		}
		newest = before - 1
	}
	size := uint64(defaultPage)
	if page.Size > 0 {
		size = min(uint64(page.Size), maxPage)
	}
	out := &History{Versions: []*Version{}, Index: v.Index}
	for number := newest; number > 0 && number >= h.GetOldest(); number-- {
		if uint64(len(out.Versions)) == size {
			out.Next = strconv.FormatUint(number+1, 10)
			break
		}
		rec, err := h.at(v, number)
		if err != nil {
			return nil, err
		}
		rec.Text = ""
		out.Versions = append(out.Versions, show(scope, rec, number == h.GetVersion(), v.Index))
	}
	return out, nil
}
