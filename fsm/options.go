package fsm

import (
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/floeberg/floeberg/fsm/command"
)

// The defaults of Options.
const (
	// DefaultCacheBytes holds the blocks of some hundred thousand entities; an idle
	// node uses next to nothing of it.
	DefaultCacheBytes = 32 << 20
	// DefaultMemTableBytes is how much is collected before it becomes a file. The
	// log is the write-ahead log, so a larger one only means a longer replay.
	DefaultMemTableBytes = 8 << 20
)

// Options says where a machine keeps its state and whom it tells.
type Options struct {
	// Dir is the machine's own folder; it is made where it is missing. Required.
	Dir string
	// FS is the file system; nil is the operating system's.
	FS vfs.FS
	// Logger gets the storage engine's lines as well; nil drops all.
	Logger *slog.Logger
	// CacheBytes bounds the cache of file blocks; 0 is DefaultCacheBytes.
	CacheBytes int64
	// MemTableBytes bounds one table in memory; 0 is DefaultMemTableBytes.
	MemTableBytes uint64
	// Halt is called once, when the machine must not go on: an entry that this
	// program does not know, a damaged file, a failed write. Nothing is applied
	// afterwards. It may be called from any goroutine; where it came while applying
	// it is called before ApplyBatch returns. Nil panics with the reason, which is
	// the only stop that nobody overlooks.
	Halt func(error)
	// Restored is called after the whole state was replaced, by whoever replaces it:
	// it must not wait for the log. Nil is nobody.
	Restored func()
	// NewestCommand is the newest command version that is applied; 0 is
	// command.NewestVersion, all that this program can. Tests of upgrades set it.
	NewestCommand uint32
	// Now tells when, on this node, replicated time was last heard of. It never
	// finds its way into the state. Nil is the real clock.
	Now func() time.Time
}

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("fsm: no folder given")
	}
	if o.CacheBytes < 0 {
		return o, errors.New("fsm: negative cache size")
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = DefaultMemTableBytes
	}
	if o.NewestCommand == 0 {
		o.NewestCommand = command.NewestVersion
	}
	if o.Restored == nil {
		o.Restored = func() {}
	}
	if o.Halt == nil {
		o.Halt = func(err error) { panic(err.Error()) }
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // never part of the state: it only tells how old a read is
	}
	return o, nil
}
