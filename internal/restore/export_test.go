package restore

import (
	"context"
	"io"

	"github.com/floeberg/floeberg/fsm"
)

// Write writes the state that a request asks for, without a cluster to put it in.
func Write(ctx context.Context, place *Place, own string, q Request, scratch string, w io.Writer) (fsm.Header, error) {
	p, err := newPlan(ctx, place, own, q)
	if err != nil {
		return fsm.Header{}, err
	}
	c, err := p.write(ctx, w, scratch, watch{read: func(int64) {}, entries: func(uint64, uint64) {}})
	if err != nil {
		return fsm.Header{}, err
	}
	return c.header, nil
}
