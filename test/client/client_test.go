package client_test

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/floeberg/floeberg/test/client"
)

// TestUnsure: a node that dies with a change in hand may have made it, also where
// it takes no connection any more before the client looks again. Who forgets that
// takes the next node's refusal for the whole truth.
func TestUnsure(t *testing.T) {
	t.Parallel()
	next := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(next.Close)
	for method, body := range map[string]any{http.MethodPost: client.Object{"a": 1}, http.MethodDelete: nil} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			c := client.New(client.Options{URLs: []string{dying(t), next.URL}})
			for i, want := range []client.Response{{Status: http.StatusNoContent, Attempts: 1}, {Status: http.StatusServiceUnavailable, Attempts: 2, Unsure: true}} {
				got, err := c.DoAt(t.Context(), 0, client.Request{Method: method, Path: "/", Body: body})
				if err != nil {
					t.Fatal(err)
				}
				if got.Status != want.Status || got.Attempts != want.Attempts || got.Unsure != want.Unsure {
					t.Errorf("request %d: got %s after %d attempts, unsure: %v", i, got, got.Attempts, got.Unsure)
				}
			}
			// Nobody takes this one's connection, so nothing was sent.
			got, err := c.DoAt(t.Context(), 0, client.Request{Method: method, Path: "/", Body: body})
			if err != nil {
				t.Fatal(err)
			}
			if got.Attempts != 2 || got.Unsure {
				t.Errorf("a node that is gone: %d attempts, unsure: %v", got.Attempts, got.Unsure)
			}
		})
	}
}

// dying is the address of a node that answers one request, reads another one on
// the same connection, and is gone.
func dying(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		read := func() {
			req, err := http.ReadRequest(in)
			if err == nil {
				_, err = req.Body.Read(make([]byte, 1024))
			}
			if err != nil && err.Error() != "EOF" {
				t.Error(err)
			}
		}
		read()
		if _, err := conn.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n")); err != nil {
			t.Error(err)
		}
		read()
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	}()
	return "http://" + listener.Addr().String()
}
