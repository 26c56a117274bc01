package fsm

import "context"

// turn is a lock that one can give up waiting for. It is made with room for one.
type turn chan struct{}

func (t turn) lock() { t <- struct{}{} }

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) give() { <-t }
