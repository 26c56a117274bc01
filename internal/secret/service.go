package secret

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// maxServiceAnswer is more than any service answers.
const maxServiceAnswer = 64 << 10

// serviceClient asks services. It follows no redirect: what it sends is for nobody else.
var serviceClient = &http.Client{
	Timeout:       serviceTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// checkEndpoint refuses addresses on the way to which others could read what is sent.
func checkEndpoint(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "":
		return errors.New("the service's address is not a URL such as https://HOST:PORT")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("the service's address must be https://: anybody could read what goes there")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// postJSON asks a service a question, whose headers sign sets. An answer that is no 200 is
// an error, which tells what of it the service says of itself.
func postJSON(ctx context.Context, address string, in, out any, sign func(req *http.Request, body []byte) error) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if err := sign(req, body); err != nil {
		return err
	}
	res, err := serviceClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxServiceAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d%s", res.StatusCode, reasonIn(raw))
	}
	if err := json.Unmarshal(raw, out); err != nil {
		// The parser's error may repeat some of it.
		return errors.New("it answered something else than JSON of the expected form")
	}
	return nil
}

// maxReason is how much of a service's own words is repeated.
const maxReason = 300

// reasonIn is what a service says of an error, in any of the forms that they use.
func reasonIn(raw []byte) string {
	var said struct {
		Errors  []string        `json:"errors"`  // Vault
		Type    string          `json:"__type"`  // AWS
		Message string          `json:"message"` // AWS
		Error   json.RawMessage `json:"error"`   // Google, Azure
	}
	if json.Unmarshal(raw, &said) != nil {
		return ""
	}
	var inner struct {
		Message string `json:"message"`
	}
	if len(said.Error) > 0 && json.Unmarshal(said.Error, &inner) != nil {
		inner.Message = ""
	}
	out := ""
	for _, part := range append(said.Errors, said.Type, said.Message, inner.Message) {
		if part != "" {
			out += ": " + part
		}
	}
	return fmt.Sprintf("%.*s", maxReason, out)
}
