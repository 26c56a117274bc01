package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// FolderFormat is the newest format of data folders that this program knows: how
// what is in one is named and laid out. What has a format of its own (the state,
// snapshots, log entries) says so itself.
const FolderFormat = 1

// formatMagic begins the first line of the format file; the number follows. The
// second line names the program that last worked in the folder, for the one who
// reads why another refuses it.
const (
	formatMagic = "floeberg data "
	writtenBy   = "written by "
)

var (
	// ErrNewerFolder is returned when a newer program has worked in the data folder.
	ErrNewerFolder = errors.New("the data folder was written by a newer program")
	// ErrDamagedFolder is returned when the data folder does not say which format it has.
	ErrDamagedFolder = errors.New("the data folder does not say which format it has")
	// ErrOtherNode is returned when the data folder is another node's.
	ErrOtherNode = errors.New("the data folder is another node's")
)

// checkFormat refuses a folder that this program does not know, before anything
// in it is read, and notes in one that it does which format it has now. A folder
// without the file is of format 1: the first programs did not write it.
func (f *folder) checkFormat(program string) error {
	path := f.in(formatFile)
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data-dir: %w", err)
	}
	if err == nil {
		if err := readFormat(f.path, program, string(raw)); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("%s%d\n%s%s\n", formatMagic, FolderFormat, writtenBy, program)
	if string(raw) == text {
		return nil
	}
	if err := replaceDurably(path, text); err != nil {
		return fmt.Errorf("data-dir: noting the folder's format: %w", err)
	}
	return nil
}

// readFormat tells whether this program may work in a folder whose format file
// holds text. Below the first line a newer format may say what it likes.
func readFormat(dir, program, text string) error {
	first, rest, _ := strings.Cut(text, "\n")
	number, ok := strings.CutPrefix(first, formatMagic)
	format, err := strconv.Atoi(number)
	if !ok || err != nil || format < 1 {
		return fmt.Errorf("data-dir: %w: the first line of %s in %s should be %q; if this is a floeberg's folder, "+
			"write that line, else choose another with --data-dir", ErrDamagedFolder, formatFile, dir, formatMagic+strconv.Itoa(FolderFormat))
	}
	if format <= FolderFormat {
		return nil
	}
	by, _, _ := strings.Cut(rest, "\n")
	by, ok = strings.CutPrefix(by, writtenBy)
	if !ok {
		by = "unknown"
	}
	return fmt.Errorf("data-dir: %w: %s has format %d, written by version %s; this is version %s, which knows formats up to %d: "+
		"run that version or a newer one", ErrNewerFolder, dir, format, by, program, FolderFormat)
}

// claim makes the folder the node's, and refuses one that is another node's: a
// log and a vote belong to the id that they were written under.
func (f *folder) claim(nodeID string) error {
	owner, err := f.owner()
	if err != nil {
		return err
	}
	if owner == nodeID {
		return nil
	}
	if owner != "" {
		return fmt.Errorf("node-id: %w: %s belongs to %q, not to %q; give that node's --node-id, or this node's --data-dir",
			ErrOtherNode, f.path, owner, nodeID)
	}
	if err := replaceDurably(f.in(nodeIDFile), nodeID+"\n"); err != nil {
		return fmt.Errorf("data-dir: noting whose folder it is: %w", err)
	}
	return nil
}

// owner is the id of the node that the folder belongs to; "" where none has
// claimed it yet.
func (f *folder) owner() (string, error) {
	raw, err := os.ReadFile(f.in(nodeIDFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("data-dir: %w", err)
	}
	return strings.TrimSuffix(string(raw), "\n"), nil
}

// replaceDurably writes a file such that after a power loss it is the old or the
// new one.
func replaceDurably(path, text string) error {
	temp := path + ".tmp"
	if err := writeDurably(temp, text); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncParent(path)
}
