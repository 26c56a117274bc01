package audit

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

// Query is which records are asked for. Empty fields ask for all.
type Query struct {
	Principal string  `json:"principal,omitempty"`
	Tenant    string  `json:"tenant,omitempty"`
	Action    string  `json:"action,omitempty"`
	Decision  Verdict `json:"decision,omitempty"`
	Event     Event   `json:"event,omitempty"`
	RequestID string  `json:"request_id,omitempty"`
	Node      string  `json:"node,omitempty"`
	// Warehouse is a resource's, Resource the levels of its name: what is below it is
	// asked for, too.
	Warehouse string   `json:"warehouse,omitempty"`
	Resource  []string `json:"resource,omitempty"`
	// Since and Until are the first moment and the one after the last.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// matches tells whether a record is asked for.
func (q *Query) matches(r *Record) bool {
	for _, f := range [...]struct{ want, is string }{
		{q.Principal, r.Principal}, {q.Tenant, r.Tenant}, {q.Action, r.Action}, {string(q.Decision), string(r.Decision)},
		{string(q.Event), string(r.Event)}, {q.RequestID, r.RequestID}, {q.Node, r.Node},
	} {
		if f.want != "" && f.want != f.is {
			return false
		}
	}
	if q.Warehouse != "" && (r.Resource == nil || r.Resource.Warehouse != q.Warehouse) {
		return false
	}
	if len(q.Resource) > 0 && (r.Resource == nil || !below(r.Resource, q.Resource)) {
		return false
	}
	return (q.Since.IsZero() || !r.Time.Before(q.Since)) && (q.Until.IsZero() || r.Time.Before(q.Until))
}

// below tells whether a resource is what the levels name, or in it.
func below(r *Resource, levels []string) bool {
	path := r.Namespace
	if r.Name != "" {
		path = append(slices.Clip(path), r.Name)
	}
	return len(path) >= len(levels) && slices.Equal(path[:len(levels)], levels)
}

// Position is a place among the records of all nodes, the newest first. No two
// records have the same.
type Position struct {
	Time time.Time `json:"t"`
	Node string    `json:"n"`
}

// ErrPosition is returned when a text is no position.
var ErrPosition = errors.New("audit: not a position")

// ParsePosition reads what String wrote; "" is before all.
func ParsePosition(text string) (Position, error) {
	var p Position
	if text == "" {
		return p, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(raw, &p) != nil || p.Time.IsZero() {
		return p, ErrPosition
	}
	return p, nil
}

// String is the position as a token.
func (p Position) String() string {
	raw, err := json.Marshal(p)
	if err != nil { // a time beyond the year 9999
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// PositionOf is where a record stands.
func PositionOf(r *Record) Position { return Position{r.Time, r.Node} }

// after tells whether a position comes later in the listing than another one.
func (p Position) after(other Position) bool {
	if other.Time.IsZero() {
		return true
	}
	if !p.Time.Equal(other.Time) {
		return p.Time.Before(other.Time)
	}
	return strings.Compare(p.Node, other.Node) > 0
}

// maxLookedAt bounds what of its files a node looks through for one answer. The next
// answer goes on from there.
const maxLookedAt = 16 << 20

// Found is what a node has found.
type Found struct {
	// Records are the newest first.
	Records []Record
	// Stopped is how far was looked, where that was not to the end; nil is that there is
	// nothing older.
	Stopped *Position
}

// Find returns records of this node that come after a position, at most so many. They
// are looked for in memory, and then in the files of a sink that has some.
func (l *Log) Find(ctx context.Context, q Query, after Position, most int) (*Found, error) {
	l.mu.Lock()
	recent := l.recent.all()
	l.mu.Unlock()
	out := &Found{Records: []Record{}}
	enough := false
	see := func(r *Record) bool {
		if enough = len(out.Records) >= most || !q.Since.IsZero() && r.Time.Before(q.Since); enough {
			return false
		}
		if q.matches(r) && PositionOf(r).after(after) {
			out.Records = append(out.Records, *r)
		}
		return true
	}
	var oldest time.Time // in memory
	if first := (Record{}); len(recent) > 0 && json.Unmarshal(recent[0], &first) == nil && !after.Time.IsZero() && first.Time.After(after.Time) {
		oldest, recent = first.Time, nil // it was all listed
	}
	err := newest(recent, func(r *Record) bool {
		oldest = r.Time
		return see(r)
	})
	if err != nil || enough || l.kept == nil {
		return out, err
	}
	looked := 0
	err = l.kept.back(ctx, earliest(oldest, after.Time, q.Until), func(raw []byte) bool {
		line, err := ParseLine(raw)
		switch {
		case err != nil || line.Node != l.opts.Node: // the first tells its tale when the log is verified
			return true
		case !oldest.IsZero() && !line.Time.Before(oldest), !PositionOf(&line.Record).after(after):
			return true // it was listed
		case !see(&line.Record):
			return false
		}
		if looked += len(raw); looked < l.looksAt {
			return true
		}
		at := PositionOf(&line.Record)
		out.Stopped = &at
		return false
	})
	return out, err
}

// earliest is the first of some moments, of which the zero time is none.
func earliest(moments ...time.Time) (out time.Time) {
	for _, t := range moments {
		if out.IsZero() || !t.IsZero() && t.Before(out) {
			out = t
		}
	}
	return out
}
