package audit

import (
	"errors"
	"io"
	"log/slog"
	"time"
)

// OnFailure is what happens while a sink takes nothing.
type OnFailure string

// The ways.
const (
	// Refuse makes no change that is not on record.
	Refuse OnFailure = "refuse"
	// Count goes on, and counts the records that are lost.
	Count OnFailure = "count"
)

// Observer is told what happens. Nil members are skipped. They must not block.
type Observer struct {
	// Recorded is told of each record.
	Recorded func(Event)
	// Lost is told of records that a sink did not take.
	Lost func(sink string, n uint64)
	// Wrote is told of each attempt to write to a sink.
	Wrote func(sink string, took time.Duration, err error)
	// Refused is told of each change that was not let through.
	Refused func()
}

func (o Observer) recorded(e Event) {
	if o.Recorded != nil {
		o.Recorded(e)
	}
}

func (o Observer) lost(sink string, n uint64) {
	if o.Lost != nil {
		o.Lost(sink, n)
	}
}

func (o Observer) wrote(sink string, took time.Duration, err error) {
	if o.Wrote != nil {
		o.Wrote(sink, took, err)
	}
}

func (o Observer) refused() {
	if o.Refused != nil {
		o.Refused()
	}
}

// Options are what a log is made of.
type Options struct {
	// Node is in every record. Required.
	Node string
	// Sinks are where records go; the log closes them.
	Sinks []Sink
	// OnFailure is what happens while one of them takes nothing. Default Count.
	OnFailure OnFailure
	// Patience is how long a change waits for its record. Default 2 s.
	Patience time.Duration
	// Recent is how many records are kept in memory to be asked for. Default 16384,
	// in at most 16 MiB.
	Recent int
	// Now is the time. Default time.Now.
	Now func() time.Time
	// Version is the program's, for the first record of a process.
	Version string
	// Logger is told when a sink fails, and when it is well again.
	Logger   *slog.Logger
	Observer Observer
}

func (o *Options) complete() error {
	if o.Node == "" {
		return errors.New("audit: Node is missing")
	}
	if o.OnFailure == "" {
		o.OnFailure = Count
	}
	if o.Patience <= 0 {
		o.Patience = 2 * time.Second
	}
	if o.Recent <= 0 {
		o.Recent = 16384
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return nil
}
