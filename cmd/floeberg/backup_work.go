package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/floeberg/floeberg/api/client"
	"github.com/floeberg/floeberg/api/management"
)

const (
	// askEvery is how often long work is asked after.
	askEvery = 250 * time.Millisecond
	// askPatience is how long a cluster may not answer before it is given up: an
	// election and a restart fit in.
	askPatience = time.Minute
)

// backupWork begins long work and waits for its end, whatever becomes of single
// connections. The error of work that failed is its own.
func (r *remote) backupWork(ctx context.Context, path string, progress func(phase string, done, total int64)) (*management.BackupOperation, error) {
	var op management.BackupOperation
	if err := r.Post(ctx, path, nil, &op); err != nil {
		return nil, err
	}
	heard := time.Now()
	for op.FinishedAt == nil {
		progress(string(op.Phase), op.BytesDone, op.BytesTotal)
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		var next management.BackupOperation
		err := r.Get(ctx, backupWorkPath+"/"+client.Segment(op.ID), nil, &next)
		switch {
		case err == nil:
			op, heard = next, time.Now()
		case client.IsNotFound(err):
			return nil, fmt.Errorf("%w; \"floeberg backup list\" shows what is there", err)
		case time.Since(heard) > askPatience:
			return nil, fmt.Errorf("node %s, which works on it, does not answer any more; \"floeberg backup list\" shows what is there: %w", op.Node, err)
		}
	}
	if op.Error != nil {
		return nil, errors.New(*op.Error)
	}
	return &op, nil
}

// remoteSnapshots are those of a running cluster.
type remoteSnapshots struct{ *remote }

// List implements snapshots.
func (r *remoteSnapshots) List(ctx context.Context) (*management.BackupList, error) {
	var all management.BackupList
	next := func(page *management.BackupList) string { return page.NextPageToken }
	for page, err := range client.Pages(ctx, r.Client, backupsPath, nil, next) {
		if err != nil {
			return nil, err
		}
		all.Backups = append(all.Backups, page.Backups...)
		all.Damaged = append(all.Damaged, page.Damaged...)
	}
	return &all, nil
}

// Show implements snapshots.
func (r *remoteSnapshots) Show(ctx context.Context, id string) (*management.Backup, error) {
	var m management.Backup
	if err := r.Get(ctx, backupsPath+"/"+client.Segment(id), nil, &m); err != nil {
		return nil, err
	}
	return &m, nil
}

// Verify implements snapshots.
func (r *remoteSnapshots) Verify(ctx context.Context, id string, progress func(phase string, done, total int64)) (*management.BackupOperation, error) {
	return r.backupWork(ctx, backupsPath+"/"+client.Segment(id)+"/verify", progress)
}
