package storage

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"
)

// classifyS3 gives an error of the client library its class. What the store
// says is decided by its error code first, then by the HTTP status: stores that
// imitate S3 agree on the codes better than on the statuses.
func classifyS3(err error) error {
	if err == nil || errors.Is(err, ErrTooLarge) {
		return err
	}
	var response minio.ErrorResponse
	if !errors.As(err, &response) {
		return classifyTransport(err)
	}
	cause := fmt.Errorf("the store answered %s", sayResponse(response))
	switch response.Code {
	case "NoSuchKey", "NoSuchVersion":
		return ErrNotFound
	case "NoSuchBucket":
		return &failure{kind: ErrDenied, cause: errors.New("the bucket does not exist")}
	case "PreconditionFailed":
		return &failure{kind: ErrExists, cause: errTaken}
	case "KeyTooLongError", "KeyTooLong", "InvalidURI", "XMinioInvalidObjectName":
		return &failure{kind: ErrInvalidLocation, cause: cause}
	case "EntityTooLarge":
		return &failure{kind: ErrTooLarge, cause: cause}
	case "ExpiredToken", "ExpiredTokenException":
		return &failure{kind: ErrDenied, cause: errors.Join(cause, errExpired), retry: true}
	case "RequestTimeout", "SlowDown", "SlowDownRead", "SlowDownWrite", "Throttling", "ThrottlingException",
		"RequestThrottled", "RequestLimitExceeded", "InternalError", "ServiceUnavailable",
		"OperationAborted", "ConditionalRequestConflict":
		return &failure{kind: ErrUnavailable, cause: cause, retry: true}
	case "NotImplemented":
		return &failure{kind: ErrDenied, cause: errors.Join(cause, errUnsupported)}
	}
	switch status := response.StatusCode; {
	case status == http.StatusNotFound:
		return ErrNotFound
	case status == http.StatusPreconditionFailed:
		return &failure{kind: ErrExists, cause: errTaken}
	case status == http.StatusNotImplemented:
		return &failure{kind: ErrDenied, cause: errors.Join(cause, errUnsupported)}
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusTooManyRequests,
		status == http.StatusTemporaryRedirect, status == 499, status >= 500:
		return &failure{kind: ErrUnavailable, cause: cause, retry: true}
	case status >= 300:
		return &failure{kind: ErrDenied, cause: cause}
	default:
		// Success with a body that makes none, or an answer the library made up.
		return &failure{kind: ErrUnavailable, cause: cause, retry: true}
	}
}

// classifyTransport is for what was never answered: no connection, a broken
// one, a body that ends too soon, no credentials.
func classifyTransport(err error) error {
	var (
		authority   x509.UnknownAuthorityError
		hostname    x509.HostnameError
		certificate x509.CertificateInvalidError
	)
	hopeless := errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &certificate) ||
		errors.Is(err, errNoCredentials) || errors.Is(err, context.Canceled) ||
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
	return &failure{kind: ErrUnavailable, cause: err, retry: !hopeless}
}

func sayResponse(r minio.ErrorResponse) string { return sayAnswer(r.StatusCode, r.Code, r.Message) }

// sayAnswer puts what a store answered on one short line.
func sayAnswer(status int, code, message string) string {
	said := strings.TrimSpace(code)
	if status != 0 {
		said = strings.TrimSpace(fmt.Sprintf("%d %s", status, strings.TrimPrefix(said, fmt.Sprint(status))))
	}
	const shown = 300
	message, _, _ = strings.Cut(strings.TrimSpace(strings.ToValidUTF8(message, "")), "\n")
	if message = strings.TrimSpace(message); message != "" && message != code {
		if len(message) > shown {
			message = strings.ToValidUTF8(message[:shown], "") + "…"
		}
		said += ": " + message
	}
	return said
}
