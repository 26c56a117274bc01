package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/floeberg/floeberg/fsm/state"
)

const (
	// checkers is how many metadata files are looked for at once.
	checkers = 16
	// pageSize is how many tables are read from the state at a time.
	pageSize = 2048
	// maxListed bounds the list of those whose file is missing; all are counted.
	maxListed = 1000
	// patience is how many in a row can't be looked for before the rest is left out.
	patience = 64
)

// pointed is a table or a view and the file that it points to.
type pointed struct {
	*state.MissingFile
	gone bool
	err  error
}

// lookForFiles looks for the metadata file of every table and view, and notes what
// is missing: files that were removed after the point that was restored. It is no failure
// of the restore.
func (r *Restorer) lookForFiles(ctx context.Context, rec *record) error {
	failing := 0
	for _, kind := range []struct {
		space state.Space
		parse func(key []byte, v state.Value) (*state.MissingFile, error)
	}{{state.SpaceTable, tableFile}, {state.SpaceView, viewFile}} {
		all := state.SpaceRange(kind.space)
		for start := all.Start; ; {
			page, next, err := r.page(state.KeyRange{Start: start, End: all.End}, kind.parse)
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			start = next
			if failing < patience {
				r.look(ctx, page)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := rec.update(ctx, step{}, func(s *state.Restore) { failing = note(s, page, failing) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// note adds to the record what was found. It returns how many in a row could not be
// looked for, up to the last of these.
func note(s *state.Restore, page []*pointed, failing int) int {
	if failing >= patience {
		s.Unchecked += uint64(len(page))
		return failing
	}
	for _, p := range page {
		switch {
		case p.err != nil:
			failing++
			s.Unchecked++
			s.UncheckedReason = p.err.Error()
			continue
		case p.gone:
			s.MissingCount++
			if len(s.Missing) < maxListed {
				s.Missing = append(s.Missing, p.MissingFile)
			}
		}
		failing = 0
		s.Checked++
	}
	return failing
}

// page reads what comes first in a range, and where the next page begins.
func (r *Restorer) page(in state.KeyRange, parse func([]byte, state.Value) (*state.MissingFile, error)) (out []*pointed, next []byte, err error) {
	if bytes.Compare(in.Start, in.End) >= 0 {
		return nil, nil, nil
	}
	v, err := r.opts.Log.View()
	if err != nil {
		return nil, nil, err
	}
	defer v.Close()
	var failed error
	err = v.Scan(in, func(key []byte, value state.Value) bool {
		var file *state.MissingFile
		if file, failed = parse(key, value); failed != nil {
			failed = fmt.Errorf("key %x: %w", key, failed)
			return false
		}
		out = append(out, &pointed{MissingFile: file})
		next = append(bytes.Clone(key), 0)
		return len(out) < pageSize
	})
	return out, next, errors.Join(err, failed)
}

// look looks for the files of a page.
func (r *Restorer) look(ctx context.Context, page []*pointed) {
	todo := make(chan *pointed)
	var working sync.WaitGroup
	for range checkers {
		working.Add(1)
		go func() {
			defer working.Done()
			for p := range todo {
				there, err := r.opts.Files.Exists(ctx, p.GetWarehouse(), p.GetMetadataLocation())
				p.gone, p.err = err == nil && !there, err
			}
		}()
	}
	for _, p := range page {
		todo <- p
	}
	close(todo)
	working.Wait()
}

func tableFile(key []byte, v state.Value) (*state.MissingFile, error) {
	rec := &state.Table{}
	if err := state.Decode(v, rec); err != nil {
		return nil, err
	}
	warehouse, namespace, name, err := state.TableName(key)
	return &state.MissingFile{Warehouse: warehouse, Namespace: namespace, Name: name, MetadataLocation: rec.GetMetadataLocation()}, err
}

func viewFile(key []byte, v state.Value) (*state.MissingFile, error) {
	rec := &state.ViewEntry{}
	if err := state.Decode(v, rec); err != nil {
		return nil, err
	}
	warehouse, namespace, name, err := state.ViewName(key)
	return &state.MissingFile{Warehouse: warehouse, Namespace: namespace, Name: name, View: true, MetadataLocation: rec.GetMetadataLocation()}, err
}

// heartbeat renews the lease while work goes on that changes nothing.
func (r *Restorer) heartbeat(ctx context.Context, stop <-chan struct{}, rec *record, tell func(*state.Restore)) {
	ticker := time.NewTicker(r.opts.Beat)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-stop:
			return
		case <-ctx.Done():
			return
		}
		if err := rec.update(ctx, step{}, tell); err != nil && ctx.Err() == nil {
			r.opts.Logger.Debug("the lease of the restore was not renewed", "error", err)
		}
	}
}
