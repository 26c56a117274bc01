package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// typeNoEndpoint is the type of the refusal of a path that is not served.
const typeNoEndpoint = "NoSuchEndpointException"

// Error is a server's refusal.
type Error struct {
	// Status is the answer's, Type the name by which Iceberg's clients know it.
	Status  int
	Type    string
	Message string
	// Address is who answered, RequestID under what name its log has the request.
	Address   string
	RequestID string

	retryAfter time.Duration
	retryTold  bool
}

// Error is one line: what the server says, and the mend where a person at a
// terminal has another one than a program.
func (e *Error) Error() string {
	text := e.Message
	switch {
	case e.Status == http.StatusUnauthorized:
		text = "the key is not valid here: give one with --key or FLOEBERG_KEY"
	case e.Type != "" && e.Status >= http.StatusInternalServerError:
		text = fmt.Sprintf("%s (%d %s from %s)", text, e.Status, e.Type, e.Address)
	case e.Type == typeNoEndpoint:
		text = fmt.Sprintf("%s does not know this request: --addr takes a node's address without a path, and the node may be of another version than this command", e.Address)
	case e.Type == "":
		text = fmt.Sprintf("%s is no floeberg: it answers %d %s", e.Address, e.Status, text)
	}
	return text
}

// again tells whether another node, or the same one later, may say something
// else. A change is sent again only where the server vouches that nothing was done.
func (e *Error) again(r *request) bool {
	switch e.Status {
	case http.StatusServiceUnavailable:
		return e.retryTold || !r.change()
	case http.StatusTooManyRequests:
		return e.retryTold
	}
	return false
}

// IsNotFound tells whether a server said that there is no such thing.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound && e.Type != ""
}

// refusal reads an answer that is none of success.
func refusal(base string, res *http.Response, raw []byte) *Error {
	e := &Error{Status: res.StatusCode, Address: base, RequestID: res.Header.Get("X-Request-Id")}
	if text := res.Header.Get("Retry-After"); text != "" {
		e.retryTold = true
		if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
			e.retryAfter = time.Duration(seconds) * time.Second
		}
	}
	var body struct {
		Error struct {
			Message string `json:"message"`
			Type    string `json:"type"`
		} `json:"error"`
	}
	if err := json.Unmarshal(raw, &body); err == nil && body.Error.Type != "" {
		e.Type, e.Message = body.Error.Type, oneLine(body.Error.Message)
		return e
	}
	e.Message = oneLine(string(raw))
	if len(e.Message) > maxErrorText {
		e.Message = e.Message[:maxErrorText] + "…"
	}
	return e
}

// oneLine is text without line ends and what could steer a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return ' '
		}
		return r
	}, strings.TrimSpace(strings.ToValidUTF8(text, "?")))
}
