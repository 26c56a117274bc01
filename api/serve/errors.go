package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/api/jsonbody"
	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/internal/archive"
	"github.com/floeberg/floeberg/internal/backup"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/iceberg"
	"github.com/floeberg/floeberg/internal/restore"
	"github.com/floeberg/floeberg/internal/secret"
	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/ops/audit"
)

var (
	// errBadRequest is returned when a request can't be read.
	errBadRequest = errors.New("bad request")
	// errNoRoute is returned when nothing is served under a path.
	errNoRoute = errors.New("no such path")
	// errNoMethod is returned when a path is served under other methods.
	errNoMethod = errors.New("no such method")
	// errNoEncoding is returned when a client reads no form that an answer can have.
	errNoEncoding = errors.New("answers are gzip, zstd or not compressed, and Accept-Encoding allows none of these")
	// errNotReady is returned when this node should get no requests.
	errNotReady = errors.New("not ready")
)

// requestError is an error that a client can be shown.
type requestError struct{ text string }

func (e *requestError) Error() string { return e.text }
func (e *requestError) Unwrap() error { return errBadRequest }

// BadRequest is the error of a request that can't be read; clients are shown the text.
func BadRequest(format string, args ...any) error {
	return &requestError{text: fmt.Sprintf(format, args...)}
}

// Unsupported is the error of an operation that the protocol has and we have not;
// clients are shown the text.
func Unsupported(text string) error {
	return &catalog.Error{Kind: catalog.KindUnsupported, Message: text}
}

// verdict is what a client is told of an error.
type verdict struct {
	status int
	// errorType is the name by which Iceberg's clients choose their exception.
	errorType string
	message   string
	// retryAfter is seconds; 0 is no such header. With it clients repeat a request
	// of any kind, so it is there only where nothing was proposed. Java's gives up
	// after six tries: two seconds make a window of ten.
	retryAfter int
}

const (
	retryBusy        = 1
	retryUnavailable = 2
)

// refusals is the answer to each kind of refusal.
var refusals = map[catalog.Kind]verdict{
	catalog.KindInvalid:             {status: http.StatusBadRequest, errorType: "IllegalArgumentException"},
	catalog.KindForbiddenLocation:   {status: http.StatusForbidden, errorType: "ForbiddenException"},
	catalog.KindUnprocessable:       {status: http.StatusUnprocessableEntity, errorType: "UnprocessableEntityException"},
	catalog.KindKeyReused:           {status: http.StatusUnprocessableEntity, errorType: "UnprocessableEntityException"},
	catalog.KindUnsupported:         {status: http.StatusNotAcceptable, errorType: "UnsupportedOperationException"},
	catalog.KindTooLarge:            {status: http.StatusRequestEntityTooLarge, errorType: "ContentTooLargeException"},
	catalog.KindNoSuchWarehouse:     {status: http.StatusNotFound, errorType: "NoSuchWarehouseException"},
	catalog.KindNoSuchNamespace:     {status: http.StatusNotFound, errorType: "NoSuchNamespaceException"},
	catalog.KindNoSuchTable:         {status: http.StatusNotFound, errorType: "NoSuchTableException"},
	catalog.KindNoSuchView:          {status: http.StatusNotFound, errorType: "NoSuchViewException"},
	catalog.KindNoSuchTask:          {status: http.StatusNotFound, errorType: "NoSuchTaskException"},
	catalog.KindNoSuchKey:           {status: http.StatusNotFound, errorType: "NoSuchKeyException"},
	catalog.KindKeyRefused:          {status: http.StatusConflict, errorType: "KeyRefusedException"},
	catalog.KindKeyForbidden:        {status: http.StatusForbidden, errorType: "ForbiddenException"},
	catalog.KindNoSuchPolicyVersion: {status: http.StatusNotFound, errorType: "NoSuchPolicyVersionException"},
	catalog.KindPoliciesChanged:     {status: http.StatusConflict, errorType: "PoliciesChangedException"},
	catalog.KindPolicyLockout:       {status: http.StatusConflict, errorType: "PolicyLockoutException"},
	catalog.KindReadRestricted:      {status: http.StatusForbidden, errorType: "ForbiddenException"},
	catalog.KindWarehouseRefused:    {status: http.StatusConflict, errorType: "WarehouseRefusedException"},
	catalog.KindWarehouseChanged:    {status: http.StatusConflict, errorType: "WarehouseChangedException"},
	catalog.KindStoreRefused:        {status: http.StatusBadRequest, errorType: "StoreRefusedException"},
	catalog.KindNoSuchNode:          {status: http.StatusNotFound, errorType: "NoSuchNodeException"},
	catalog.KindMembershipRefused:   {status: http.StatusConflict, errorType: "MembershipRefusedException"},
	catalog.KindKeyringRefused:      {status: http.StatusConflict, errorType: "KeyringRefusedException"},
	catalog.KindNotFound:            {status: http.StatusNotFound, errorType: "NotFoundException"},
	catalog.KindAlreadyExists:       {status: http.StatusConflict, errorType: "AlreadyExistsException"},
	catalog.KindNotEmpty:            {status: http.StatusConflict, errorType: "NamespaceNotEmptyException"},
	catalog.KindCommitFailed:        {status: http.StatusConflict, errorType: "CommitFailedException"},
	// Never 502, 503 or 504: released clients replay those, or delete files that
	// the commit needs.
	catalog.KindCommitUnknown: {status: http.StatusInternalServerError, errorType: "CommitStateUnknownException"},
	catalog.KindRevoked:       {status: http.StatusServiceUnavailable, errorType: "ServiceUnavailableException", retryAfter: retryBusy},
	catalog.KindUnavailable:   {status: http.StatusServiceUnavailable, errorType: "ServiceUnavailableException", retryAfter: retryUnavailable},
	catalog.KindBusy:          {status: http.StatusServiceUnavailable, errorType: "SlowDownException", retryAfter: retryBusy},
}

// decidedByState tells whether an error says something about what is in the
// catalog.
func decidedByState(err error) bool {
	switch refusals[catalog.KindOf(err)].status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict:
		return true
	}
	return false
}

// other is the answer to errors that are no refusals of the catalog, first match
// first. An empty message is the error's own text.
var other = []struct {
	err error
	verdict
}{
	{authn.ErrUnauthenticated, verdict{status: http.StatusUnauthorized, errorType: "NotAuthorizedException", message: "Not authorized: present a valid API key as Authorization: Bearer <key> or X-API-Key"}},
	{authn.ErrUnavailable, verdict{status: http.StatusServiceUnavailable, errorType: "ServiceUnavailableException", message: "Credentials can't be verified now; try again", retryAfter: retryUnavailable}},
	{authn.ErrChanged, verdict{status: http.StatusServiceUnavailable, errorType: "ServiceUnavailableException", message: "Rights changed while the request was under way; nothing was changed, try again", retryAfter: retryBusy}},
	{authz.ErrDenied, verdict{status: http.StatusForbidden, errorType: "ForbiddenException", message: "Forbidden: no right to do this"}},
	{errBadRequest, verdict{status: http.StatusBadRequest, errorType: "BadRequestException"}},
	{iceberg.ErrInvalid, verdict{status: http.StatusBadRequest, errorType: "BadRequestException"}},
	{iceberg.ErrUnsupported, verdict{status: http.StatusNotAcceptable, errorType: "UnsupportedOperationException"}},
	{errNoRoute, verdict{status: http.StatusNotFound, errorType: "NoSuchEndpointException", message: "Nothing is served under this path"}},
	{errNoMethod, verdict{status: http.StatusMethodNotAllowed, errorType: "MethodNotAllowedException", message: "This path is not served under this method"}},
	{audit.ErrUnavailable, verdict{status: http.StatusServiceUnavailable, errorType: "ServiceUnavailableException", message: "The audit log takes no records now, so nothing was changed; try again", retryAfter: retryUnavailable}},
	{errNoEncoding, verdict{status: http.StatusNotAcceptable, errorType: "UnsupportedOperationException"}},
	{errNotReady, verdict{status: http.StatusServiceUnavailable, errorType: "ServiceUnavailableException", retryAfter: retryUnavailable}},
	{backup.ErrNoStore, verdict{status: http.StatusNotAcceptable, errorType: "UnsupportedOperationException"}},
	{backup.ErrNoSnapshot, verdict{status: http.StatusNotFound, errorType: "NoSuchBackupException"}},
	{backup.ErrNoOperation, verdict{status: http.StatusNotFound, errorType: "NoSuchOperationException"}},
	{backup.ErrDamaged, verdict{status: http.StatusConflict, errorType: "DamagedBackupException"}},
	{backup.ErrForeign, verdict{status: http.StatusConflict, errorType: "DamagedBackupException"}},
	{backup.ErrNewerFormat, verdict{status: http.StatusConflict, errorType: "DamagedBackupException"}},
	{backup.ErrKey, verdict{status: http.StatusConflict, errorType: "BackupKeyException"}},
	{backup.ErrKeyReused, verdict{status: http.StatusUnprocessableEntity, errorType: "UnprocessableEntityException"}},
	{backup.ErrNotNow, verdict{status: http.StatusServiceUnavailable, errorType: "ServiceUnavailableException", retryAfter: retryUnavailable}},
	{restore.ErrBadRequest, verdict{status: http.StatusBadRequest, errorType: "BadRequestException"}},
	{restore.ErrNotEmpty, verdict{status: http.StatusConflict, errorType: "ClusterNotEmptyException"}},
	{restore.ErrUnderWay, verdict{status: http.StatusConflict, errorType: "RestoreUnderWayException"}},
	{restore.ErrForeign, verdict{status: http.StatusConflict, errorType: "ForeignBackupException"}},
	{restore.ErrOutOfRange, verdict{status: http.StatusNotFound, errorType: "NoSuchBackupException"}},
	{restore.ErrNoRestore, verdict{status: http.StatusNotFound, errorType: "NoSuchOperationException"}},
	{archive.ErrDamaged, verdict{status: http.StatusConflict, errorType: "DamagedBackupException"}},
	{archive.ErrForeign, verdict{status: http.StatusConflict, errorType: "DamagedBackupException"}},
	{archive.ErrNewerFormat, verdict{status: http.StatusConflict, errorType: "DamagedBackupException"}},
	// Where the cluster key is and what is wrong with it is for operators: they are told by
	// the status and the log.
	{secret.ErrRefused, verdict{status: http.StatusConflict, errorType: "SecretKeyException"}},
	{secret.ErrNoKey, verdict{status: http.StatusConflict, errorType: "SecretKeyException"}},
	{secret.ErrWrongKey, verdict{status: http.StatusServiceUnavailable, errorType: "ServiceUnavailableException", message: "This node can't read the cluster's secrets: its cluster key is another one; 'floeberg secret status' says which", retryAfter: retryUnavailable}},
	{secret.ErrUnavailable, verdict{status: http.StatusServiceUnavailable, errorType: "ServiceUnavailableException", message: "The cluster's secrets can't be sealed or read now; 'floeberg secret status' says why", retryAfter: retryUnavailable}},
	{storage.ErrUnavailable, verdict{status: http.StatusServiceUnavailable, errorType: "ServiceUnavailableException", retryAfter: retryUnavailable}},
	{storage.ErrDenied, verdict{status: http.StatusServiceUnavailable, errorType: "ServiceUnavailableException"}},
	{middleware.ErrBodyTooLarge, verdict{status: http.StatusRequestEntityTooLarge, errorType: "ContentTooLargeException"}},
	{middleware.ErrBodyEncoded, verdict{status: http.StatusUnsupportedMediaType, errorType: "UnsupportedMediaTypeException"}},
	{middleware.ErrBodyCorrupt, verdict{status: http.StatusBadRequest, errorType: "BadRequestException"}},
	{middleware.ErrBodySlow, verdict{status: http.StatusRequestTimeout, errorType: "RequestTimeoutException", message: "The request body did not arrive in time; nothing was changed"}},
	{middleware.ErrBodyCut, verdict{status: http.StatusBadRequest, errorType: "BadRequestException", message: "The request body is incomplete"}},
	{middleware.ErrHeaders, verdict{status: http.StatusRequestHeaderFieldsTooLarge, errorType: "BadRequestException", message: "The request has too many header fields"}},
	{middleware.ErrOrigin, verdict{status: http.StatusForbidden, errorType: "ForbiddenException", message: "Forbidden: requests from pages of another origin are not taken; --http-cors-origins allows origins"}},
	{middleware.ErrBusy, verdict{status: http.StatusServiceUnavailable, errorType: "SlowDownException", message: "Too many requests are under way; nothing was changed, try again", retryAfter: retryBusy}},
	// The catalog turns its own deadlines into refusals once something was
	// proposed, so a bare one comes from before that.
	{context.DeadlineExceeded, verdict{status: http.StatusServiceUnavailable, errorType: "ServiceUnavailableException", message: "The request took too long; nothing was changed, try again", retryAfter: retryUnavailable}},
	{context.Canceled, verdict{status: http.StatusServiceUnavailable, errorType: "ServiceUnavailableException", message: "The request was given up; nothing was changed, try again", retryAfter: retryUnavailable}},
}

// judgeError is the one place that decides what a client is told of an error.
// What it does not know is a defect of ours: the client learns only the name
// under which the log has the rest.
func judgeError(err error, requestID string) verdict {
	var refusal *catalog.Error
	if errors.As(err, &refusal) {
		if v, ok := refusals[refusal.Kind]; ok {
			v.message = refusal.Message
			return v
		}
	}
	var body *jsonbody.Malformed
	if errors.As(err, &body) {
		return verdict{status: http.StatusBadRequest, errorType: "BadRequestException", message: body.Error()}
	}
	var often *middleware.RateError
	if errors.As(err, &often) {
		return verdict{status: http.StatusTooManyRequests, errorType: "TooManyRequestsException", message: often.Error(), retryAfter: often.Seconds()}
	}
	for _, o := range other {
		if errors.Is(err, o.err) {
			v := o.verdict
			if v.message == "" {
				v.message = err.Error()
			}
			return v
		}
	}
	return verdict{
		status: http.StatusInternalServerError, errorType: "InternalServerError",
		message: "Internal error; the log has it under request " + requestID,
	}
}

// answerError writes an error as Iceberg's clients read it.
func (s *server) answerError(g *gin.Context, err error) {
	v := judgeError(err, middleware.RequestID(g.Request.Context()))
	middleware.SetErrorType(g, v.errorType)
	h := g.Writer.Header()
	if v.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(v.retryAfter))
	}
	if v.status == http.StatusUnsupportedMediaType {
		h.Set("Accept-Encoding", middleware.BodyEncodings)
	}
	if v.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="floeberg"`)
	}
	WriteJSON(g, v.status, errorBody{errorDetail{Message: catalog.Brief(v.message), Type: v.errorType, Code: v.status}})
}

// WriteJSON writes a small body of plain strings and numbers.
func WriteJSON(g *gin.Context, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("a body of plain fields can't be written: %v", err))
	}
	h := g.Writer.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	g.Writer.WriteHeader(status)
	if g.Request.Method == http.MethodHead {
		g.Writer.WriteHeaderNow()
		return
	}
	// Nobody is left to tell of an error here.
	_, _ = g.Writer.Write(data)
}
