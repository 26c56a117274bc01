package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/floeberg/floeberg/internal/disk"
)

// rotate puts the file beside the others and begins another one.
func (f *File) rotate() error {
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.opts.Path, f.olderName(f.start)); err != nil {
		return errors.Join(err, f.open())
	}
	if err := f.open(); err != nil {
		return err
	}
	return errors.Join(f.thinOut(), f.lookForOldest(), disk.SyncFolder(filepath.Dir(f.opts.Path)))
}

// olderForm is when a file was put aside: such names sort as time does.
const olderForm = "20060102T150405.000Z"

// olderName is where the file goes whose first line has this number.
func (f *File) olderName(first uint64) string {
	ext := filepath.Ext(f.opts.Path)
	return fmt.Sprintf("%s-%s-%d%s", strings.TrimSuffix(f.opts.Path, ext), f.opts.Now().UTC().Format(olderForm), first, ext)
}

// thinOut deletes the oldest files, so that as many are left as there may be.
func (f *File) thinOut() error {
	if f.opts.Keep <= 0 {
		return nil
	}
	older, err := f.older()
	if err != nil {
		return err
	}
	for len(older) > 0 && len(older)+1 > f.opts.Keep {
		if err := os.Remove(older[0]); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		older = older[1:]
	}
	return nil
}

// older are the files before the one that is written, the oldest first.
func (f *File) older() ([]string, error) { return olderFiles(f.opts.Path) }

// Files are all files of a log, the oldest first; path is the one that is written.
func Files(path string) ([]string, error) {
	files, err := olderFiles(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err == nil {
		files = append(files, path)
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return files, nil
}

func olderFiles(path string) ([]string, error) {
	ext := filepath.Ext(path)
	prefix := strings.TrimSuffix(filepath.Base(path), ext) + "-"
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if middle, ok := strings.CutPrefix(e.Name(), prefix); ok && e.Type().IsRegular() && isOlder(middle, ext) {
			files = append(files, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	slices.Sort(files)
	return files, nil
}

// isOlder tells whether a name goes on as olderName writes it: nothing else in the
// folder may be deleted.
func isOlder(rest, ext string) bool {
	rest, ok := strings.CutSuffix(rest, ext)
	moment, first, found := strings.Cut(rest, "-")
	if !ok || !found {
		return false
	}
	_, err := time.Parse(olderForm, moment)
	_, numErr := strconv.ParseUint(first, 10, 64)
	return err == nil && numErr == nil
}
