package cluster_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// raw is what is sent over a connection, and what must come back.
type raw struct {
	what, text string
	// statuses are those of the answers, in order. None is a connection that ends
	// without one.
	statuses []int
	// plain is an answer that was given before there was a path: it has no error body.
	plain bool
	// cut ends the sending side once all is sent.
	cut bool
}

// raws is the requests that a stranger may send, most of them none.
func raws(t *testing.T, c *client.Client, ns string) []raw {
	t.Helper()
	path := c.NamespacePath()
	auth := "Host: h\r\nAuthorization: Bearer " + cluster.Key + "\r\n"
	post := func(headers, body string) string {
		return "POST " + path + " HTTP/1.1\r\n" + auth + headers + "\r\n" + body
	}
	sized := func(encoding, body string) string {
		return post(fmt.Sprintf("Content-Encoding: %s\r\nContent-Length: %d\r\n", encoding, len(body)), body)
	}
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\n" + auth + "\r\n" }
	bomb := gzipped(t, `{"namespace":["`, 80<<20)
	return []raw{
		{what: "no HTTP", text: "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", statuses: []int{400}, plain: true},
		{what: "no host", text: "GET / HTTP/1.1\r\n\r\n", statuses: []int{400}, plain: true},
		{what: "a broken escape", text: "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", statuses: []int{400}, plain: true},
		{what: "two lengths", text: post("Content-Length: 1\r\nContent-Length: 2\r\n", "{}"), statuses: []int{400}, plain: true},
		{what: "a length of words", text: post("Content-Length: many\r\n", "{}"), statuses: []int{400}, plain: true},
		{what: "a header with a zero", text: post("X-A: a\x00b\r\n", ""), statuses: []int{400}, plain: true},
		{what: "a header of 100 KB", text: "GET /health HTTP/1.1\r\nHost: h\r\nX-A: " + strings.Repeat("a", 100<<10) + "\r\n\r\n", statuses: []int{431}, plain: true},
		{what: "headers of 200 KB", text: "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 200) + "\r\n", statuses: []int{431}, plain: true},
		{what: "a head that is cut", text: "GET / HTTP/1.1\r\nHost", cut: true},
		{what: "HTTP/2 that is none", text: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("junk", 100)},
		{what: "no key", text: "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n", statuses: []int{401}},
		{what: "a path of nobody", text: get("/none"), statuses: []int{404}},
		{what: "a method of nobody", text: "BREW " + path + " HTTP/1.1\r\n" + auth + "\r\n", statuses: []int{405}},
		{what: "a body that is cut", text: post("Content-Length: 100\r\n", `{"name`), statuses: []int{400}, cut: true},
		{what: "chunks that are none", text: post("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"), statuses: []int{400}},
		{what: "a chunk that is cut", text: post("Transfer-Encoding: chunked\r\n", "10\r\n{}"), statuses: []int{400}, cut: true},
		{what: "junk for JSON", text: sized("identity", "\xff\xfe{"), statuses: []int{400}},
		{what: "nesting", text: sized("identity", strings.Repeat("[", 100_000)), statuses: []int{400}},
		{what: "no gzip", text: sized("gzip", "{}"), statuses: []int{400}},
		{what: "half a gzip", text: sized("gzip", bomb[:1000]), statuses: []int{400}},
		{what: "a bomb", text: sized("gzip", bomb), statuses: []int{413}},
		{what: "another encoding", text: sized("br", "{}"), statuses: []int{415}},
		{what: "several at once", text: get(path+"/"+ns) + get("/none") + get("/v1/config") + get(path+"/none"), statuses: []int{200, 404, 200, 404}},
		{what: "several, the second with a body", text: get(path+"/"+ns) + sized("identity", "{") + get("/v1/config"), statuses: []int{200, 400, 200}},
	}
}

// gzipped compresses a text with so many more bytes behind it.
func gzipped(t *testing.T, text string, more int) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := io.Copy(w, io.MultiReader(strings.NewReader(text), strings.NewReader(strings.Repeat("a", more))))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// send sends it, reads all that comes back, and tells what is wrong with that.
func (r raw) send(address string) error {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return err
	}
	// Where the other side hangs up on what is sent, its answer says why.
	_, _ = io.WriteString(conn, r.text)
	if r.cut {
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
	}
	in := bufio.NewReader(conn)
	for _, want := range r.statuses {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return fmt.Errorf("no answer, want %d: %w", want, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return fmt.Errorf("%d without all of its body: %w", res.StatusCode, err)
		}
		if res.StatusCode != want {
			return fmt.Errorf("want %d, got %d %s", want, res.StatusCode, body)
		}
		var e struct{ Error client.Error }
		if want >= 400 && !r.plain && (json.Unmarshal(body, &e) != nil || e.Error.Code != want || e.Error.Type == "" || e.Error.Message == "") {
			return fmt.Errorf("%d with no error body: %s", want, body)
		}
	}
	if len(r.statuses) == 0 {
		if rest, err := io.ReadAll(in); err != nil && len(rest) == 0 {
			return fmt.Errorf("the connection does not end: %w", err)
		}
	}
	return nil
}

// TestHostileRequests sends everything that is no good request, much of it at
// once: each gets its answer, good requests are answered all the while, and when
// it is over the node has given back what it took.
func TestHostileRequests(t *testing.T) {
	c := start(t, cluster.Options{Nodes: 1})
	at, node := c.At(0), c.Nodes[0]
	ns := namespace(t, at)
	name, _ := table(t, at, ns)
	load(t, at, ns, name)
	address := strings.TrimPrefix(node.URL, "http://")
	before, err := node.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	storm, over := context.WithCancel(t.Context())
	var good sync.WaitGroup
	good.Go(func() {
		for storm.Err() == nil {
			if res, err := at.Do(t.Context(), get(at.TablePath(ns, name))); err != nil || res.Status != http.StatusOK {
				t.Errorf("a good request meanwhile: %s, %v", res, err)
				return
			}
		}
	})
	// Heads that do not end are given up, bodies that do not come hold nothing
	// when their senders go.
	var slow sync.WaitGroup
	for range 100 {
		slow.Go(func() {
			if err := (raw{text: "GET / HTTP/1.1\r\nHost: h\r\nX-A: "}).send(address); err != nil {
				t.Errorf("half a head: %v", err)
			}
		})
	}
	var bodies []net.Conn
	for range 100 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, conn)
		if _, err := io.WriteString(conn, "POST "+at.NamespacePath()+" HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+cluster.Key+"\r\nContent-Length: 1000\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		var round sync.WaitGroup
		for _, r := range raws(t, at, ns) {
			round.Go(func() {
				if err := r.send(address); err != nil {
					t.Errorf("%s: %v", r.what, err)
				}
			})
		}
		round.Wait()
	}
	large := raw{text: "POST " + at.TablePath(ns, name) + " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + cluster.Key +
		fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n", 70<<20) + strings.Repeat(" ", 70<<20), statuses: []int{413}}
	if err := large.send(address); err != nil {
		t.Errorf("70 MiB: %v", err)
	}
	slow.Wait()
	for _, conn := range bodies {
		_ = conn.Close()
	}
	over()
	good.Wait()
	if err := gaveBack(within(t, time.Minute), node, before); err != nil {
		t.Error(err)
	}
}
