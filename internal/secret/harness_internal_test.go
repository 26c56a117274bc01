package secret

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/fsmtest"
	"github.com/floeberg/floeberg/fsm/state"
)

// testLog is a log as a box sees it.
type testLog struct {
	*fsmtest.Log
	follows bool
}

func (l testLog) View() (*state.View, error) { return l.State() }

func (l testLog) Current(context.Context) (*state.View, error) { return l.State() }

func (l testLog) Leads() bool { return !l.follows }

func newTestLog(t *testing.T) testLog {
	t.Helper()
	return testLog{Log: fsmtest.NewLog(t)}
}

// newKey makes a key in a file, by its URL and its name.
func newKey(t *testing.T) (address, name string) {
	t.Helper()
	text, name := NewKey()
	return "file://" + keyFile(t, text), name
}

func keyFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret.key")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// notes is an owner that keeps each of its secrets as a value of its own.
type notes struct{ kind string }

// noteSpace is a keyspace that the product does not use.
const noteSpace = state.Space(0xEE)

func (n notes) key(name string) []byte { return append([]byte{byte(noteSpace)}, n.kind+"/"+name...) }

func (n notes) Kind() string { return n.kind }

func (n notes) Sealed(v *state.View, see func(Record) error) error {
	var failed error
	err := v.Scan(state.SpaceRange(noteSpace), func(key []byte, value state.Value) bool {
		purpose := string(key[1:])
		if kindOf(purpose) != n.kind {
			return true
		}
		at := []byte(string(key))
		failed = see(Record{
			Key: at, Revision: value.Revision, Purpose: purpose, Sealed: []byte(string(value.Data)),
			Put: func(sealed []byte) ([]*command.Write, error) {
				return []*command.Write{command.PutValue(at, sealed)}, nil
			},
		})
		return failed == nil
	})
	return errors.Join(err, failed)
}

// keep puts a secret into the state, as often as it takes.
func (n notes) keep(ctx context.Context, b *Box, log testLog, name, plain string) error {
	for {
		sealed, err := b.Seal(ctx, n.kind+"/"+name, []byte(plain))
		if err != nil {
			return err
		}
		still, err := b.Precondition(sealed)
		if err != nil {
			return err
		}
		res, err := log.Propose(ctx, &command.Transaction{
			Preconditions: []*command.Precondition{still}, Writes: []*command.Write{command.PutValue(n.key(name), sealed)},
		})
		if err != nil || res.Outcome == command.Applied {
			return err
		}
	}
}

// read opens a secret of the state.
func (n notes) read(ctx context.Context, b *Box, log testLog, name string) (string, error) {
	v, err := log.State()
	if err != nil {
		return "", err
	}
	defer v.Close()
	value, ok, err := v.Get(n.key(name))
	if err != nil || !ok {
		return "", errors.Join(err, errors.New("there is no such note"))
	}
	plain, err := b.Open(ctx, n.kind+"/"+name, value.Data)
	return string(plain), err
}

var ownNotes = notes{"note"}

// options are those of a box that tries again soon.
func options(log testLog, key string, previous ...string) Options {
	return Options{
		Log: log, Node: "n1", Key: key, Previous: previous, Owners: []Owner{ownNotes},
		Logger: slog.New(slog.DiscardHandler), Poll: 20 * time.Millisecond, RetryFirst: 5 * time.Millisecond, RetryMost: 20 * time.Millisecond,
	}
}

func newBox(t *testing.T, opts Options) *Box {
	t.Helper()
	b, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	closes(t, b)
	return b
}

func closes(t *testing.T, b *Box) {
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func known(t *testing.T, log testLog) *state.DataKeys {
	t.Helper()
	v, err := log.State()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	keys, err := v.DataKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func is(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// quotes tells whether a text has a part of a secret in it.
func quotes(text, secret string) bool {
	secret = strings.TrimSpace(secret)
	for i := 0; i+8 <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+8]) {
			return true
		}
	}
	return false
}
