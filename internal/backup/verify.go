package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/floeberg/floeberg/fsm"
)

// Verification is what a trial of a snapshot found.
type Verification struct {
	Manifest *Manifest
	// StateChecksum is that of the restored state, computed anew from its rows.
	StateChecksum string
	// Took is how long the restore took.
	Took time.Duration
}

// Verify restores a snapshot into a scratch state in a new folder below dir, as a
// node would, and compares the checksum of what came out. The folder is removed.
func (v *Vault) Verify(ctx context.Context, m *Manifest, dir string, watch Watch) (found *Verification, err error) {
	scratch, err := os.MkdirTemp(dir, "verify-")
	if err != nil {
		return nil, fmt.Errorf("a folder for the scratch state: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	stream, err := v.Read(ctx, m)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	// It stays small: it is in the way of a node's own state.
	const cacheBytes = 1 << 20
	halted := make(chan error, 1)
	machine, err := fsm.Open(fsm.Options{Dir: scratch, CacheBytes: cacheBytes, Halt: func(err error) { halted <- err }})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, machine.Close()) }()
	err = machine.Restore(io.NopCloser(v.pacedReader(ctx, stream, m, PhaseRestoring, watch)))
	if err != nil {
		return nil, explainContent(m, err)
	}
	sum, index, err := machine.VerifyChecksum(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.ID, err)
	}
	found = &Verification{Manifest: m, StateChecksum: hex.EncodeToString(sum[:]), Took: time.Since(begun)}
	if index != m.Index || found.StateChecksum != m.StateChecksum {
		return found, fmt.Errorf("%w: restored, it is index %d with checksum %s, its manifest says index %d with checksum %s",
			ErrDamaged, index, found.StateChecksum, m.Index, m.StateChecksum)
	}
	return found, nil
}
