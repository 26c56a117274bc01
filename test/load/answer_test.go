package load

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/history"
)

// TestReading holds what an answer is taken for: a mistake here would let a node
// say what it must not.
func TestReading(t *testing.T) {
	t.Parallel()
	retry := http.Header{"Retry-After": {"1"}}
	for name, c := range map[string]struct {
		kind                  history.Kind
		status                int
		body                  string
		header                http.Header
		err                   error
		good, wrong, recorded bool
		unsure                bool
		fate                  history.Fate
	}{
		"a commit":                     {kind: history.Append, status: 200, good: true, recorded: true, fate: history.Done},
		"a load":                       {kind: history.Load, status: 200, body: `{"metadata":{"table-uuid":"u"}}`, good: true, recorded: true, fate: history.Done},
		"a load of nothing":            {kind: history.Load, status: 200, body: `{}`, wrong: true},
		"a conflict":                   {kind: history.Append, status: 409, body: `{"error":{"type":"CommitFailedException"}}`, good: true, recorded: true, fate: history.Refused},
		"a conflict of another kind":   {kind: history.Append, status: 409, body: `{"error":{"type":"AlreadyExistsException"}}`, wrong: true},
		"a table that must be there":   {kind: history.Append, status: 404, body: `{"error":{"type":"NoSuchTableException"}}`, wrong: true},
		"a name that is gone":          {kind: history.Look, status: 404, good: true, recorded: true, fate: history.Refused},
		"nothing was done":             {kind: history.Append, status: 503, header: retry},
		"nothing was done, and when":   {kind: history.Append, status: 503, wrong: true},
		"nothing was done this time":   {kind: history.Create, status: 503, header: retry, unsure: true, recorded: true, fate: history.Unknown},
		"the outcome is open":          {kind: history.Append, status: 500, body: `{"error":{"type":"CommitStateUnknownException"}}`, recorded: true, fate: history.Unknown},
		"the outcome of a read":        {kind: history.Load, status: 500, body: `{"error":{"type":"CommitStateUnknownException"}}`, wrong: true},
		"an accident":                  {kind: history.Append, status: 500, body: `{"error":{"type":"InternalServerError"}}`, wrong: true},
		"a gateway's word":             {kind: history.Drop, status: 504, header: retry, wrong: true},
		"a change without an answer":   {kind: history.Create, err: context.DeadlineExceeded, recorded: true, fate: history.Unknown},
		"a question without an answer": {kind: history.Load, err: errors.New("connection reset")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := answer{op: history.Operation{Kind: c.kind}, err: c.err}
			if c.err == nil {
				if c.header == nil {
					c.header = http.Header{}
				}
				a.response = &client.Response{Status: c.status, Body: []byte(c.body), Header: c.header, Unsure: c.unsure}
			}
			got := a.read()
			if got.good != c.good || (got.wrong != "") != c.wrong || got.recorded != c.recorded || got.recorded && got.fate != c.fate {
				t.Errorf("got %+v", got)
			}
		})
	}
}
