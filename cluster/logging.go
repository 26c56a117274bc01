package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// repeatPause is how long a complaint is not repeated. Raft complains about an
// unreachable peer at every heartbeat.
const repeatPause = 10 * time.Second

// waitsForPeers is raft's warning about what every new node does until it is in
// a cluster.
const waitsForPeers = "no known peers, aborting election"

// raftLogger gives raft's log lines to slog: its own information is ours to
// debug, since Events say what operators want to know, and complaints that
// repeat themselves are thinned out.
type raftLogger struct {
	to      *slog.Logger
	name    string
	implied []any
	thinner *thinner
}

var _ hclog.Logger = (*raftLogger)(nil)

func newRaftLogger(to *slog.Logger) *raftLogger {
	return &raftLogger{to: to.With("component", "raft"), thinner: newThinner()}
}

// Log implements hclog.Logger.
func (l *raftLogger) Log(level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	switch {
	case msg == waitsForPeers:
	case level == hclog.Warn:
		to = slog.LevelWarn
	case level == hclog.Error:
		to = slog.LevelError
	}
	if !l.to.Enabled(context.Background(), to) {
		return
	}
	attrs := make([]any, 0, len(args))
	for i, arg := range args {
		if f, ok := arg.(hclog.Format); ok && len(f) > 0 {
			if format, ok := f[0].(string); ok {
				arg = fmt.Sprintf(format, f[1:]...)
			}
		}
		if i%2 == 1 {
			if _, isErr := arg.(error); !isErr {
				arg = fmt.Sprint(arg)
			}
		}
		attrs = append(attrs, arg)
	}
	if to >= slog.LevelWarn {
		subject := ""
		for i := 0; i+1 < len(attrs); i += 2 {
			if attrs[i] == "peer" || attrs[i] == "id" {
				subject = fmt.Sprint(attrs[i+1])
			}
		}
		held, ok := l.thinner.pass(msg + "\x00" + subject)
		if !ok {
			return
		}
		if held > 0 {
			attrs = append(attrs, "repeated", held)
		}
	}
	l.to.Log(context.Background(), to, msg, attrs...)
}

// Trace implements hclog.Logger.
func (l *raftLogger) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }

// Debug implements hclog.Logger.
func (l *raftLogger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }

// Info implements hclog.Logger.
func (l *raftLogger) Info(msg string, args ...any) { l.Log(hclog.Info, msg, args...) }

// Warn implements hclog.Logger.
func (l *raftLogger) Warn(msg string, args ...any) { l.Log(hclog.Warn, msg, args...) }

// Error implements hclog.Logger.
func (l *raftLogger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

// IsTrace implements hclog.Logger.
func (l *raftLogger) IsTrace() bool { return false }

// IsDebug implements hclog.Logger.
func (l *raftLogger) IsDebug() bool { return l.to.Enabled(context.Background(), slog.LevelDebug) }

// IsInfo implements hclog.Logger.
func (l *raftLogger) IsInfo() bool { return l.IsDebug() }

// IsWarn implements hclog.Logger.
func (l *raftLogger) IsWarn() bool { return l.to.Enabled(context.Background(), slog.LevelWarn) }

// IsError implements hclog.Logger.
func (l *raftLogger) IsError() bool { return l.to.Enabled(context.Background(), slog.LevelError) }

// ImpliedArgs implements hclog.Logger.
func (l *raftLogger) ImpliedArgs() []any { return l.implied }

// With implements hclog.Logger.
func (l *raftLogger) With(args ...any) hclog.Logger {
	other := *l
	other.implied = append(append([]any(nil), l.implied...), args...)
	other.to = l.to.With(args...)
	return &other
}

// Name implements hclog.Logger.
func (l *raftLogger) Name() string { return l.name }

// Named implements hclog.Logger.
func (l *raftLogger) Named(name string) hclog.Logger {
	if l.name != "" {
		name = l.name + "." + name
	}
	return l.ResetNamed(name)
}

// ResetNamed implements hclog.Logger.
func (l *raftLogger) ResetNamed(name string) hclog.Logger {
	other := *l
	other.name = name
	return &other
}

// SetLevel implements hclog.Logger; slog's own level decides.
func (l *raftLogger) SetLevel(hclog.Level) {}

// GetLevel implements hclog.Logger.
func (l *raftLogger) GetLevel() hclog.Level {
	if l.IsDebug() {
		return hclog.Debug
	}
	return hclog.Warn
}

// StandardLogger implements hclog.Logger.
func (l *raftLogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return log.New(l.StandardWriter(nil), "", 0)
}

// StandardWriter implements hclog.Logger.
func (l *raftLogger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer {
	return &lineWriter{to: l.to, thinner: l.thinner}
}

// lineWriter gives the lines of a standard logger to slog. Both memberlist and
// net/http write there; the first marks its lines with a level in brackets.
type lineWriter struct {
	to      *slog.Logger
	thinner *thinner
}

// Write implements io.Writer.
func (w *lineWriter) Write(p []byte) (int, error) {
	line := string(bytes.TrimSpace(p))
	level := slog.LevelDebug
	for mark, l := range map[string]slog.Level{
		"[DEBUG] ": slog.LevelDebug, "[INFO] ": slog.LevelDebug,
		"[WARN] ": slog.LevelWarn, "[ERR] ": slog.LevelWarn, "[ERROR] ": slog.LevelWarn,
	} {
		if rest, ok := strings.CutPrefix(line, mark); ok {
			line, level = rest, l
			break
		}
	}
	if !w.to.Enabled(context.Background(), level) {
		return len(p), nil
	}
	var attrs []any
	if level >= slog.LevelWarn {
		// The text before the first colon is the complaint, what follows varies.
		kind, _, _ := strings.Cut(strings.TrimPrefix(line, "memberlist: "), ":")
		held, ok := w.thinner.pass(kind)
		if !ok {
			return len(p), nil
		}
		if held > 0 {
			attrs = append(attrs, "repeated", held)
		}
	}
	w.to.Log(context.Background(), level, line, attrs...)
	return len(p), nil
}

func newStdLogger(to *slog.Logger, component string) *log.Logger {
	return log.New(&lineWriter{to: to.With("component", component), thinner: newThinner()}, "", 0)
}

// thinner lets a complaint pass once in a while and counts the others.
type thinner struct {
	mu   sync.Mutex
	seen map[string]*complaint
}

type complaint struct {
	last time.Time
	held int
}

// maxComplaints bounds the memory for complaints that name what they are about.
const maxComplaints = 256

func newThinner() *thinner { return &thinner{seen: make(map[string]*complaint)} }

func (t *thinner) pass(kind string) (held int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	c := t.seen[kind]
	if c == nil {
		if len(t.seen) >= maxComplaints {
			clear(t.seen)
		}
		t.seen[kind] = &complaint{last: now}
		return 0, true
	}
	if now.Sub(c.last) < repeatPause {
		c.held++
		return 0, false
	}
	held, c.held, c.last = c.held, 0, now
	return held, true
}
