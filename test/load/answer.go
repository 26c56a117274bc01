package load

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/history"
)

// answer is a request with what came back.
type answer struct {
	op       history.Operation
	request  client.Request
	response *client.Response
	err      error
}

// reading is what an answer says.
type reading struct {
	code string // as it is counted
	// good is an answer that a healthy cluster gives; wrong says why it is one
	// that none may ever give. In between are those of a cluster in trouble.
	good  bool
	wrong string

	recorded bool
	fate     history.Fate
	current  int64
}

// read says what an answer means. It is strict about what clients act on: 503
// promises that nothing was done by the node that says it, and when to come again, 500 is for changes
// whose outcome is open, 409 and 404 are about what is there. Anything else is
// wrong.
func (a answer) read() reading {
	write := a.op.Kind != history.Load && a.op.Kind != history.Look
	if a.err != nil {
		return reading{code: "no answer", recorded: write, fate: history.Unknown}
	}
	status, kind := a.response.Status, a.response.Error().Type
	r := reading{code: strconv.Itoa(status)}
	if kind != "" {
		r.code += " " + kind
	}
	switch {
	case status == a.done():
		r.good, r.recorded, r.fate = true, true, history.Done
		if a.op.Kind == history.Load {
			table, err := a.response.Table()
			if err != nil {
				return reading{code: r.code, wrong: err.Error()}
			}
			r.current = table.Metadata.Current()
		}
	case a.refused(status, kind):
		r.good, r.recorded, r.fate = true, true, history.Refused
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		// It says nothing of what became of an attempt before it.
		r.recorded, r.fate = write && a.response.Unsure, history.Unknown
		if a.response.Header.Get("Retry-After") == "" {
			r.wrong = "no Retry-After"
		}
	case status == http.StatusInternalServerError && kind == "CommitStateUnknownException" && write:
		r.recorded, r.fate = true, history.Unknown
	default:
		r.wrong = "nobody may say this"
	}
	return r
}

// done is the status of an operation that was done.
func (a answer) done() int {
	switch a.op.Kind {
	case history.Drop, history.Look:
		return http.StatusNoContent
	default:
		return http.StatusOK
	}
}

func (a answer) refused(status int, kind string) bool {
	switch a.op.Kind {
	case history.Append:
		return status == http.StatusConflict && kind == "CommitFailedException"
	case history.Create:
		return status == http.StatusConflict && kind == "AlreadyExistsException"
	case history.Drop, history.Look:
		return status == http.StatusNotFound
	default:
		return false
	}
}

func (a answer) String() string {
	took := a.op.Returned.Sub(a.op.Called).Round(time.Millisecond)
	what := fmt.Sprintf("%s, after %s: %s %s", a.op.Called.Format("15:04:05.000"), took, a.request.Method, a.request.Path)
	if a.err != nil {
		return what + ": " + a.err.Error()
	}
	return fmt.Sprintf("%s, %d nodes asked: %s", what, a.response.Attempts, a.response)
}
