// Package oidcserver runs a real OpenID Connect provider for tests: the server that
// comes with zitadel/oidc, on a free port of the loopback interface. Its key is another
// one each time that it is started.
package oidcserver

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/process"
)

// Version of the module that the server is in; test/tools/oidcserver.sh installs it.
const Version = "v3.52.0"

// What the server knows from the start.
const (
	// Client is who asks for tokens, and whom they are for.
	Client = "web"
	// Subject is the user whom they speak of.
	Subject = "id1"
	// Username is what people call it.
	Username = "test-user@localhost"
	// GroupsClaim is a claim that may stand for groups; it holds Client.
	GroupsClaim = "custom_claim.client"

	password = "verysecure"
	redirect = "http://localhost:9999/auth/callback"
)

// Server is a running provider.
type Server struct {
	*process.Service
	// Issuer is its name.
	Issuer string
}

// Start runs a provider until the test ends. Where the program is not installed the
// test is skipped, or fails if FLOEBERG_TOOLS_REQUIRED is set.
func Start(t testing.TB) *Server {
	t.Helper()
	binary := process.Tool(t, "oidcserver.sh", "zitadel-oidc-"+Version, "server")
	s := &Server{}
	s.Service = process.Serve(t, "the OpenID Connect provider", func(port int) *exec.Cmd {
		s.Issuer = fmt.Sprintf("http://localhost:%d/", port)
		cmd := exec.Command(binary)
		cmd.Env = append(os.Environ(), fmt.Sprintf("PORT=%d", port))
		return cmd
	}, func(port int) (string, int) {
		return fmt.Sprintf("http://127.0.0.1:%d/.well-known/openid-configuration", port), http.StatusOK
	})
	return s
}

// Login signs the user in, as a browser does, and returns the token that the client gets.
func (s *Server) Login(t testing.TB) string {
	t.Helper()
	browser := &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// led asks, as a form where there is one, and returns where the answer leads.
	led := func(to string, form url.Values) *url.URL {
		t.Helper()
		method, body := http.MethodGet, io.Reader(nil)
		if form != nil {
			method, body = http.MethodPost, strings.NewReader(form.Encode())
		}
		req, err := http.NewRequestWithContext(t.Context(), method, to, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		said, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		next, err := resp.Location()
		if err != nil {
			t.Fatalf("the provider answers %s and leads nowhere: %s", resp.Status, said)
		}
		return next
	}
	ask := url.Values{
		"client_id": {Client}, "redirect_uri": {redirect}, "response_type": {"id_token"},
		"scope": {"openid profile email custom_scope"}, "nonce": {"nonce"}, "state": {"state"},
	}
	login := led(s.Issuer+"auth?"+ask.Encode(), nil)
	done := led(login.String(), url.Values{
		"id": {login.Query().Get("authRequestID")}, "username": {Username}, "password": {password},
	})
	back := led(done.String(), nil)
	answer, err := url.ParseQuery(back.Fragment)
	if err != nil || !strings.HasPrefix(back.String(), redirect) || answer.Get("id_token") == "" {
		t.Fatalf("the provider gives no token: %s, %v", back, err)
	}
	return answer.Get("id_token")
}
