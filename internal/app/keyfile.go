package app

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/floeberg/floeberg/internal/disk"
)

// makeKeyFile writes a key to a file that must not exist, for this user's eyes only.
func makeKeyFile(file, text string) error {
	err := disk.WriteSecret(file, text)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: nothing is overwritten; name another file, or move it away", file)
	}
	return err
}
