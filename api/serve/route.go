package serve

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/authz"
)

// Route is one operation. A table of routes is the only place that an operation
// is added in: it registers the path and demands the right.
type Route struct {
	Method string
	// Path is written with its parameters in braces, as descriptions of APIs do.
	Path string
	// Query is the parameters that the operation reads. Others are skipped.
	Query []string
	// Action is what a principal must be allowed to do; a route without one is
	// refused at start.
	Action authz.Action
	// Resource is what it is done to.
	Resource func(*Call) authz.Resource
	// Change tells that it changes something: it carries an Idempotency-Key, and
	// its answer rests on the log instead of a read.
	Change bool
	// Store tells that it waits for the object store, though it changes nothing: it
	// takes a place among the changes, so that a slow store does not keep reads out.
	Store bool
	// Operates tells that it works on the cluster itself and not through the log. A
	// look must work when there is no leader, so the right is judged by what this
	// node knows. A change carries no evidence in a transaction: Handle proves
	// the right by Call.Recheck.
	Operates bool
	// Sensitive tells that it is on record who was allowed to do it, though it changes
	// nothing.
	Sensitive bool
	// Body tells that the request has one.
	Body bool
	// ByBody tells that the body alone says what it is done to: Handle asks for each
	// right by Call.Authorize.
	ByBody bool
	// Timeout is how long it may take where that is longer than others may; 0 is
	// what they may.
	Timeout time.Duration
	Handle  func(context.Context, *Call) (*Reply, error)
}

// OpenRoute is an operation that is answered to everybody.
type OpenRoute struct {
	Method string
	Path   string
	Handle gin.HandlerFunc
}

// ginPath is a path as the router wants it.
func ginPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

// Reply is an answer that was decided and not yet written.
type Reply struct {
	Status int
	// Body is written piece after piece; nil is none.
	Body [][]byte
	// Stream writes a body that is too large to be held; Body is nil then. Where it
	// fails, the client gets an error, or, once a part is on its way, a connection
	// that breaks: it must not take a part for the whole.
	Stream func(io.Writer) error
	// Close is called once, when the reply was written or will not be; nil is
	// nothing to do.
	Close func()
	// Document names the longest piece of Body, whose compressed form is kept.
	Document Document
	// ETag names what the answer says; how its bytes are compressed is added to it.
	ETag string
	// Secret tells that there is a secret in it, which nobody may keep on the way.
	Secret bool
	// Index is the log index that the answer reflects; 0 is not shown.
	Index uint64
}

// drop ends a reply, written or not; nil is none.
func (r *Reply) drop() {
	if r != nil && r.Close != nil {
		r.Close()
	}
}

// JSON is a reply with a small body.
func JSON(index uint64, body any) (*Reply, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return &Reply{Status: http.StatusOK, Body: [][]byte{data}, Index: index}, nil
}

// NoContent is a reply that says yes.
func NoContent(index uint64) *Reply { return &Reply{Status: http.StatusNoContent, Index: index} }
