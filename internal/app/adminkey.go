package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/floeberg/floeberg/authz/authn"

	"github.com/floeberg/floeberg/internal/disk"
)

// adminKey is the file of a minted admin key. The key is on disk before it is
// proposed, under another name, so that no crash leaves a cluster with a key
// that nobody knows.
type adminKey struct {
	path string
}

func (a adminKey) pending() string { return a.path + pendingSuffix }

// candidate is the key that this node proposes: the one that it proposed before
// where it does not know what became of it.
func (a adminKey) candidate() (string, error) {
	raw, err := os.ReadFile(a.pending())
	if err == nil {
		if key := strings.TrimSpace(string(raw)); authn.CheckKey(key) == nil {
			return key, nil
		}
		// Cut short by a crash, so never proposed.
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the admin key: %w", err)
	}
	key := authn.MintKey()
	if err := writeDurably(a.pending(), key+"\n"); err != nil {
		return "", fmt.Errorf("writing the admin key: %w", err)
	}
	return key, nil
}

// unsettled is the key that was proposed by an earlier life of this node that
// did not learn the outcome, or "".
func (a adminKey) unsettled() (string, error) {
	raw, err := os.ReadFile(a.pending())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the admin key: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// won makes the candidate the admin key.
func (a adminKey) won() error {
	if err := os.Rename(a.pending(), a.path); err != nil {
		return fmt.Errorf("writing the admin key: %w", err)
	}
	return syncParent(a.path)
}

// lost forgets the candidate.
func (a adminKey) lost() error {
	if err := os.Remove(a.pending()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing an admin key that is none: %w", err)
	}
	return nil
}

func writeDurably(path, text string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return syncParent(path)
}

// syncParent makes the name of a file durable.
func syncParent(path string) error { return disk.SyncFolder(filepath.Dir(path)) }
