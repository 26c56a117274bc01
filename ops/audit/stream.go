package audit

import (
	"errors"
	"io"
	"os"
)

// stream is standard output, or another one that is there already.
type stream struct {
	name string
	to   io.Writer
	// owed is what is left of lines of which a part was written: it can't be taken
	// back, so the rest has to follow.
	owed []byte
}

// NewStream makes a sink of what is open already.
func NewStream(name string, to io.Writer) Sink { return &stream{name: name, to: to} }

// Name implements Sink.
func (s *stream) Name() string { return s.name }

// Write implements Sink.
func (s *stream) Write(lines []byte) error {
	if s.owed == nil {
		s.owed = lines
	}
	for len(s.owed) > 0 {
		n, err := s.to.Write(s.owed)
		s.owed = s.owed[n:]
		if err != nil {
			return err
		}
	}
	s.owed = nil
	return nil
}

// Sync implements Sink. A pipe can't be synced; a file that output goes to can.
func (s *stream) Sync() error {
	if f, ok := s.to.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return f.Sync()
		}
	}
	return nil
}

// Reopen implements Sink: whoever opened the stream is in charge of it.
func (s *stream) Reopen() error { return nil }

// Close implements Sink.
func (s *stream) Close() error {
	if len(s.owed) > 0 {
		return errors.New("a line was cut")
	}
	return nil
}
