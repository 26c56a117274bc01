package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// stoppedFile says why a node was stopped for good. It goes with the folder.
const stoppedFile = "STOPPED"

// stopForGood ends this node, whose state must not be used, and sees to it that
// it does not start again with it.
func (n *Node) stopForGood(reason error) {
	if err := writeStopped(n.opts.Dir, reason); err != nil {
		// It stops all the same; another start is found out again.
		n.logger.Error("the reason for which this node stops could not be kept", "error", err)
	}
	n.halt(fmt.Errorf("%w: %w; %s", ErrStopped, reason, mend))
}

func writeStopped(dir string, reason error) error {
	path := filepath.Join(dir, stoppedFile)
	if _, err := os.Stat(path); err == nil {
		return nil // the first reason counts
	}
	text := time.Now().UTC().Format(time.RFC3339) + " " + strings.ReplaceAll(reason.Error(), "\n", "; ") + "\n"
	return replaceFile(path, []byte(text))
}

// checkStopped refuses the folder of a node that was stopped for good.
func checkStopped(dir string) error {
	reason, err := os.ReadFile(filepath.Join(dir, stoppedFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cluster: data folder: %w", err)
	}
	return fmt.Errorf("%w, as %s says: %s; %s", ErrStopped, filepath.Join(dir, stoppedFile), strings.TrimSpace(string(reason)), mend)
}
