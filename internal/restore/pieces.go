package restore

import (
	"context"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// pieceBytes leaves room for the record and the frame of an entry, which should
// stay under half a mebibyte.
const pieceBytes = 448 << 10

// pieces writes a stream into the state.
type pieces struct {
	ctx     context.Context
	record  *record
	tell    func(*state.Restore)
	buffer  []byte
	written uint64
	n       uint64
}

// Write implements io.Writer.
func (p *pieces) Write(b []byte) (int, error) {
	took := 0
	for len(b) > 0 {
		n := min(len(b), pieceBytes-len(p.buffer))
		p.buffer = append(p.buffer, b[:n]...)
		b, took = b[n:], took+n
		if len(p.buffer) == pieceBytes {
			if err := p.flush(); err != nil {
				return took, err
			}
		}
	}
	return took, nil
}

// flush writes what is in the buffer as one piece.
func (p *pieces) flush() error {
	if len(p.buffer) == 0 {
		return nil
	}
	put := command.PutValue(state.RestorePieceKey(p.n), p.buffer)
	err := p.record.update(p.ctx, step{writes: []*command.Write{put}}, func(r *state.Restore) {
		p.tell(r)
		r.Pieces = p.n + 1
		r.BytesWritten = p.written + uint64(len(p.buffer))
	})
	if err != nil {
		return err
	}
	p.written += uint64(len(p.buffer))
	p.n++
	// The log may still hold on to the last one.
	p.buffer = make([]byte, 0, pieceBytes)
	return nil
}

// noPieces removes all pieces.
func noPieces() *command.Write {
	r := state.RestorePieces()
	return command.DeleteKeys(r.Start, r.End)
}
