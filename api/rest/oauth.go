package rest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/api/rest/wire"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/internal/identity"
	"github.com/floeberg/floeberg/ops/audit"
)

// Tokens gives short-lived tokens. Its errors are identity.ErrInvalidClient,
// identity.ErrInvalidGrant, or say that it can't be told now.
type Tokens interface {
	// ForCredentials gives a token for an API key.
	ForCredentials(ctx context.Context, c identity.ClientCredentials) (*authn.Token, error)
	// ForToken gives a token in the place of another one; without credentials of the
	// client c is nil.
	ForToken(ctx context.Context, subject authn.Credentials, c *identity.ClientCredentials) (*authn.Token, error)
}

// Rates counts failed attempts by the address that they come from.
type Rates interface {
	// Doubtful tells whether an address has failed too often lately.
	Doubtful(from netip.Addr) bool
	// Failed counts an attempt, and returns the reason to wait where there were too many.
	Failed(from netip.Addr) error
}

// TokenLog keeps a record of the tokens that are given, and of failures to tell who asks.
type TokenLog interface {
	// Note takes a record and waits for nothing.
	Note(r audit.Record)
	// NoteFailure takes one of a failure; those that are many are taken together.
	NoteFailure(r audit.Record)
}

// OpenOptions are what is answered to everybody is made of.
type OpenOptions struct {
	// Tokens is nil where authentication is off.
	Tokens Tokens
	// Rates is nil where attempts are not counted.
	Rates Rates
	// AuthFailed is told why credentials were refused; nil is not told.
	AuthFailed func(reason string)
	// Audit puts it on record whom tokens are given, and where credentials prove nothing;
	// nil does not.
	Audit TokenLog
	// Logger is told why no token could be issued. Default slog's.
	Logger *slog.Logger
}

// Open is the operations of the protocol that are answered to everybody.
func Open(opts OpenOptions) []serve.OpenRoute {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	return []serve.OpenRoute{{Method: http.MethodPost, Path: "/v1/oauth/tokens", Handle: opts.tokens}}
}

const (
	// maxFormBytes is far above any form that a client sends.
	maxFormBytes = 64 << 10
	// grantTimeout is enough for an election.
	grantTimeout = 15 * time.Second

	grantCredentials = "client_credentials"
	grantExchange    = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccessToken  = "urn:ietf:params:oauth:token-type:access_token"
	typeJWT          = "urn:ietf:params:oauth:token-type:jwt"
)

// oauthError is a refusal in the words of OAuth.
type oauthError struct {
	status      int
	code        string
	description string
	retryAfter  int
}

func (e *oauthError) Error() string { return e.code + ": " + e.description }

// invalidClient is one and the same whatever is wrong with credentials.
var invalidClient = &oauthError{
	status: http.StatusUnauthorized, code: "invalid_client",
	description: "The credential proves nothing here: it is <id>:<key> of an API key, or the key alone",
}

func badForm(description string) error {
	return &oauthError{status: http.StatusBadRequest, code: "invalid_request", description: description}
}

// tokens answers clients that were given a credential, or whose token is about to
// expire.
func (o OpenOptions) tokens(g *gin.Context) {
	h := g.Writer.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	t, exchanged, err := o.grant(g)
	if err != nil {
		o.refuse(g, err)
		return
	}
	middleware.SetPrincipal(g, t.Principal)
	if o.Audit != nil {
		o.Audit.Note(serve.TokenRecord(g.Request.Context(), t.Principal, wordOf(exchanged)))
	}
	body := wire.OAuthToken{AccessToken: t.Text, TokenType: "bearer", ExpiresIn: int64(t.Lifetime.Seconds())}
	if exchanged {
		body.IssuedTokenType = typeAccessToken
	}
	serve.WriteJSON(g, http.StatusOK, body)
}

// wordOf is what a token was given for, on record.
func wordOf(exchanged bool) string {
	if exchanged {
		return "token_exchange"
	}
	return grantCredentials
}

func (o OpenOptions) grant(g *gin.Context) (t *authn.Token, exchanged bool, err error) {
	if o.Tokens == nil {
		return nil, false, &oauthError{
			status: http.StatusBadRequest, code: "unsupported_grant_type",
			description: "This catalog asks nobody who they are, and issues no tokens: leave credential unset",
		}
	}
	form, err := readForm(g)
	if err != nil {
		return nil, false, err
	}
	client, err := credentials(g.Request, form)
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(g.Request.Context(), grantTimeout)
	defer cancel()
	switch form.Get("grant_type") {
	case grantCredentials:
		if client == nil {
			return nil, false, badForm("client_secret is missing")
		}
		client.Doubtful = o.doubtful(g)
		t, err = o.Tokens.ForCredentials(ctx, *client)
		return t, false, err
	case grantExchange:
		if err := checkExchange(form); err != nil {
			return nil, false, err
		}
		t, err = o.Tokens.ForToken(ctx, authn.Credentials{Key: form.Get("subject_token"), Doubtful: o.doubtful(g)}, client)
		return t, true, err
	case "":
		return nil, false, badForm("grant_type is missing")
	}
	return nil, false, &oauthError{
		status: http.StatusBadRequest, code: "unsupported_grant_type",
		description: "grant_type must be " + grantCredentials + " or " + grantExchange,
	}
}

func (o OpenOptions) doubtful(g *gin.Context) bool {
	return o.Rates != nil && o.Rates.Doubtful(middleware.Client(g.Request.Context()))
}

// readForm reads a form in which nothing is said twice. What it says beside what is
// asked for, such as a scope, is skipped: rights come from the key's groups.
func readForm(g *gin.Context) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(g.Request.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, badForm("The body must be a form: application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(http.MaxBytesReader(g.Writer, g.Request.Body, maxFormBytes))
	if err != nil {
		return nil, badForm("The body can't be read, or is too large")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, badForm("The body is no form")
	}
	for _, values := range form {
		if len(values) > 1 {
			return nil, badForm("A parameter is given twice")
		}
	}
	return form, nil
}

// credentials are the client's, from the header or from the form; nil is none. A token
// in the header is what a client is about to exchange, and proves nothing more.
func credentials(r *http.Request, form url.Values) (*identity.ClientCredentials, error) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		if form.Get("client_secret") == "" {
			return nil, nil
		}
		return &identity.ClientCredentials{ID: form.Get("client_id"), Secret: form.Get("client_secret")}, nil
	}
	if form.Has("client_secret") && form.Get("client_secret") != secret || form.Has("client_id") && form.Get("client_id") != id {
		return nil, badForm("The client's credentials are in the header and others in the form")
	}
	return &identity.ClientCredentials{ID: id, Secret: secret}, nil
}

// checkExchange refuses what an exchange might ask for and does not get.
func checkExchange(form url.Values) error {
	if form.Get("subject_token") == "" {
		return badForm("subject_token is missing")
	}
	if kind := form.Get("subject_token_type"); kind != typeAccessToken && kind != typeJWT {
		return badForm("subject_token_type must be " + typeAccessToken)
	}
	if kind := form.Get("requested_token_type"); kind != "" && kind != typeAccessToken && kind != typeJWT {
		return badForm("requested_token_type must be " + typeAccessToken)
	}
	if form.Has("actor_token") {
		return badForm("Tokens to act for somebody else are not issued: leave actor_token out")
	}
	return nil
}

// refuse answers with an error as OAuth has them.
func (o OpenOptions) refuse(g *gin.Context, err error) {
	if o.AuthFailed != nil && (errors.Is(err, authn.ErrUnauthenticated) || errors.Is(err, authn.ErrUnavailable)) {
		o.AuthFailed(authn.Reason(err))
	}
	if o.Audit != nil && errors.Is(err, authn.ErrUnauthenticated) {
		o.Audit.NoteFailure(serve.FailureRecord(g.Request.Context(), err))
	}
	if o.Rates != nil && errors.Is(err, authn.ErrUnauthenticated) {
		if tooOften := o.Rates.Failed(middleware.Client(g.Request.Context())); tooOften != nil {
			middleware.Fail(g, tooOften)
			return
		}
	}
	var refusal *oauthError
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, identity.ErrInvalidClient):
		refusal = invalidClient
	case errors.Is(err, authn.ErrForeignToken):
		refusal = &oauthError{status: http.StatusBadRequest, code: "invalid_grant", description: "The token is none of this catalog's: an identity provider's is renewed there"}
	case errors.Is(err, identity.ErrInvalidGrant):
		refusal = &oauthError{status: http.StatusBadRequest, code: "invalid_grant", description: "The token is not valid here, or is not this client's"}
	default:
		refusal = &oauthError{
			status: http.StatusServiceUnavailable, code: "temporarily_unavailable", description: "No token can be issued now; try again", retryAfter: 1,
		}
		o.Logger.WarnContext(g.Request.Context(), "no token could be issued", slog.Any("error", err))
	}
	middleware.SetErrorType(g, refusal.code)
	if refusal.status == http.StatusUnauthorized {
		g.Writer.Header().Set("WWW-Authenticate", `Basic realm="floeberg"`)
	}
	if refusal.retryAfter > 0 {
		g.Writer.Header().Set("Retry-After", strconv.Itoa(refusal.retryAfter))
	}
	serve.WriteJSON(g, refusal.status, wire.OAuthError{Error: refusal.code, Description: refusal.description})
}
