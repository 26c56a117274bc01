package app

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/config"
)

// A disk that fills up during a drain can keep a step from ending. The process
// must end all the same.
func TestAHaltEndsADrainThatIsStuck(t *testing.T) {
	t.Parallel()
	a, err := New(Options{Config: &config.Config{NodeID: "n1", LogFormat: "text"}})
	if err != nil {
		t.Fatal(err)
	}
	a.SetHaltGrace(10 * time.Millisecond)
	release, stuck := make(chan struct{}), make(chan struct{})
	left := make(chan struct{})
	a.undo.add("closing the state", func(context.Context) error {
		defer close(left)
		close(stuck)
		<-release
		return nil
	})
	ended := make(chan error, 1)
	go func() { ended <- a.drain(make(chan os.Signal)) }()
	<-stuck
	reason := errors.New("the disk is full")
	a.Halt(reason)
	select {
	case err := <-ended:
		if !errors.Is(err, reason) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for ever")
	}
	close(release)
	<-left
}
