package storage

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// batchBody puts many small requests into one, as Google and Azure take them:
// parts of a multipart message, each numbered and holding the text of a request
// without a body. Google wants the numbers in brackets, Azure without.
func batchBody(requests []*http.Request, number string) (contentType string, body []byte) {
	boundary := "batch_" + rand.Text()
	var b bytes.Buffer
	for i, r := range requests {
		fmt.Fprintf(&b, "--%s\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: %s\r\n\r\n", boundary, fmt.Sprintf(number, i))
		fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, r.URL.RequestURI())
		for name, values := range r.Header {
			for _, value := range values {
				fmt.Fprintf(&b, "%s: %s\r\n", name, value)
			}
		}
		b.WriteString("Content-Length: 0\r\n\r\n\r\n")
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return "multipart/mixed; boundary=" + boundary, b.Bytes()
}

// batchStatuses reads the answer to such a request: the HTTP status by number.
// What the answer does not tell is not among them.
func batchStatuses(response *http.Response) (map[int]int, error) {
	defer response.Body.Close()
	kind, params, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") {
		return nil, &failure{kind: ErrUnavailable, cause: fmt.Errorf("the store answered a batch with %q", kind), retry: true}
	}
	statuses := make(map[int]int)
	for parts := multipart.NewReader(io.LimitReader(response.Body, maxAnswer), params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if err != nil {
			// Whether it ended well or not: what it told is known, and the rest is
			// asked for one by one.
			return statuses, nil
		}
		number, err := strconv.Atoi(strings.TrimPrefix(strings.Trim(part.Header.Get("Content-ID"), "<>"), "response-"))
		if err != nil {
			continue // The refusal of all of them has no number.
		}
		if status, ok := statusLine(part); ok {
			statuses[number] = status
		}
	}
}

// statusLine reads the status of an answer within a part.
func statusLine(part io.Reader) (int, bool) {
	line, err := textproto.NewReader(bufio.NewReader(part)).ReadLine()
	if err != nil {
		return 0, false
	}
	_, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	status, err := strconv.Atoi(code)
	return status, err == nil
}

// unconfirmed is what a batch's answer does not say is gone.
func unconfirmed(locations []string, statuses map[int]int) []string {
	var left []string
	for i, location := range locations {
		if status := statuses[i]; status/100 != 2 && status != http.StatusNotFound {
			left = append(left, location)
		}
	}
	return left
}
