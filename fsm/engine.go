package fsm

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// engineFormat is the storage engine's file format. Raising it can't be undone:
// it is raised one release after all programs that can read it are out.
const engineFormat = pebble.FormatValueSeparation

// bloomBitsPerKey makes a read of a missing key, which every create and every
// new identity begins with, touch no file in 99 of 100 cases.
const bloomBitsPerKey = 10

// engineOptions is how the machine uses Pebble: without its write-ahead log,
// because the replicated log is one and is only cut after a flush.
func (m *Machine) engineOptions() *pebble.Options {
	opts := &pebble.Options{
		FS:                 m.opts.FS,
		Cache:              m.cache,
		DisableWAL:         true,
		FormatMajorVersion: engineFormat,
		MemTableSize:       m.opts.MemTableBytes,
		// Writes wait when this many tables wait to become files. They are cheap while
		// empty, and a slow disk should slow the log later rather than sooner.
		MemTableStopWritesThreshold: 4,
		MaxOpenFiles:                256,
		Logger:                      engineLogger{m},
		EventListener:               m.engineEvents(),
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBitsPerKey)
	}
	return opts
}

// engineEvents listens for what makes the machine stop. Pebble calls listeners
// with its locks held, so they must not call back.
func (m *Machine) engineEvents() *pebble.EventListener {
	log := m.opts.Logger
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			m.haltAside(fmt.Errorf("fsm: a background write failed: %w", err))
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			m.haltAside(fmt.Errorf("%w: damaged file %s: %w", ErrCorrupt, info.Path, info.Details))
		},
		DiskSlow: func(info pebble.DiskSlowInfo) {
			log.Warn("slow disk", "file", info.Path, "operation", info.OpType.String(), "duration", info.Duration)
		},
		LowDiskSpace: func(info pebble.LowDiskSpaceInfo) {
			log.Warn("low disk space", "available_bytes", info.AvailBytes, "total_bytes", info.TotalBytes)
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			log.Warn("writes wait for the disk", "reason", info.Reason)
		},
	}
}

// engineLogger hands Pebble's lines to slog.
type engineLogger struct{ m *Machine }

// Infof drops what Pebble tells about its daily work into debug.
func (l engineLogger) Infof(format string, args ...any) {
	l.m.opts.Logger.Debug(fmt.Sprintf(format, args...), slog.String("from", "pebble"))
}

// Errorf logs an error that Pebble goes on after.
func (l engineLogger) Errorf(format string, args ...any) {
	l.m.opts.Logger.Error(fmt.Sprintf(format, args...), slog.String("from", "pebble"))
}

// Fatalf is called where Pebble can't go on. It must not return, whatever Halt
// does: whoever called it waits for the end of the process, with what it holds.
func (l engineLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf("fsm: the storage engine can't go on: "+format, args...)
	l.m.halt(err)
	if l.m.failure() == nil {
		// Nobody was told, because the machine is closing: a stop would wait for ever.
		panic(err.Error())
	}
	select {}
}
