package disk

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteSecret makes a file that is for this user's eyes only, durably. Where there is one
// already it stays as it is, and the error is fs.ErrExist.
func WriteSecret(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = SyncFolder(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
