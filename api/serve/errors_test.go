package serve

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/api/jsonbody"
	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/iceberg"
)

// kinds reads the kinds of refusals from the source, so that a new one without
// an answer of its own is found here.
func kinds(t *testing.T) []catalog.Kind {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../internal/catalog/error.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []catalog.Kind
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "Kind" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, catalog.Kind(text))
		}
		return true
	})
	return out
}

func TestEveryKindHasAnAnswer(t *testing.T) {
	t.Parallel()
	want := map[catalog.Kind]string{
		catalog.KindInvalid:             "400 IllegalArgumentException",
		catalog.KindForbiddenLocation:   "403 ForbiddenException",
		catalog.KindUnprocessable:       "422 UnprocessableEntityException",
		catalog.KindKeyReused:           "422 UnprocessableEntityException",
		catalog.KindUnsupported:         "406 UnsupportedOperationException",
		catalog.KindTooLarge:            "413 ContentTooLargeException",
		catalog.KindNoSuchWarehouse:     "404 NoSuchWarehouseException",
		catalog.KindNoSuchNamespace:     "404 NoSuchNamespaceException",
		catalog.KindNoSuchTable:         "404 NoSuchTableException",
		catalog.KindNoSuchView:          "404 NoSuchViewException",
		catalog.KindNoSuchTask:          "404 NoSuchTaskException",
		catalog.KindNoSuchKey:           "404 NoSuchKeyException",
		catalog.KindKeyRefused:          "409 KeyRefusedException",
		catalog.KindKeyForbidden:        "403 ForbiddenException",
		catalog.KindNoSuchPolicyVersion: "404 NoSuchPolicyVersionException",
		catalog.KindPoliciesChanged:     "409 PoliciesChangedException",
		catalog.KindPolicyLockout:       "409 PolicyLockoutException",
		catalog.KindReadRestricted:      "403 ForbiddenException",
		catalog.KindWarehouseRefused:    "409 WarehouseRefusedException",
		catalog.KindWarehouseChanged:    "409 WarehouseChangedException",
		catalog.KindStoreRefused:        "400 StoreRefusedException",
		catalog.KindNoSuchNode:          "404 NoSuchNodeException",
		catalog.KindMembershipRefused:   "409 MembershipRefusedException",
		catalog.KindKeyringRefused:      "409 KeyringRefusedException",
		catalog.KindNotFound:            "404 NotFoundException",
		catalog.KindAlreadyExists:       "409 AlreadyExistsException",
		catalog.KindNotEmpty:            "409 NamespaceNotEmptyException",
		catalog.KindCommitFailed:        "409 CommitFailedException",
		catalog.KindCommitUnknown:       "500 CommitStateUnknownException",
		catalog.KindRevoked:             "503 ServiceUnavailableException retry",
		catalog.KindUnavailable:         "503 ServiceUnavailableException retry",
		catalog.KindBusy:                "503 SlowDownException retry",
	}
	all := kinds(t)
	if len(all) != len(want) {
		t.Errorf("%d kinds, %d answers", len(all), len(want))
	}
	for _, kind := range all {
		err := fmt.Errorf("at work: %w", &catalog.Error{Kind: kind, Message: "for clients", Cause: errors.New("for the log")})
		v := judgeError(err, "r1")
		if got := text(v); got != want[kind] {
			t.Errorf("%s: %s, want %s", kind, got, want[kind])
		}
		if v.message != "for clients" {
			t.Errorf("%s: clients read %q", kind, v.message)
		}
	}
}

func text(v verdict) string {
	out := fmt.Sprintf("%d %s", v.status, v.errorType)
	if v.retryAfter > 0 {
		out += " retry"
	}
	return out
}

func TestOtherErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want string
		says string
	}{
		{authn.ErrUnknownKey, "401 NotAuthorizedException", ""},
		{authn.ErrExpiredKey, "401 NotAuthorizedException", ""},
		{authn.ErrUnavailable, "503 ServiceUnavailableException retry", ""},
		{authn.ErrChanged, "503 ServiceUnavailableException retry", ""},
		{authz.ErrDenied, "403 ForbiddenException", ""},
		{BadRequest("no %s", "good"), "400 BadRequestException", "no good"},
		{&jsonbody.Malformed{Field: "f", Problem: "is missing"}, "400 BadRequestException", `"f" is missing`},
		{iceberg.ErrInvalid, "400 BadRequestException", ""},
		{iceberg.ErrUnsupported, "406 UnsupportedOperationException", ""},
		{errNoRoute, "404 NoSuchEndpointException", ""},
		{errNoMethod, "405 MethodNotAllowedException", ""},
		{errNotReady, "503 ServiceUnavailableException retry", ""},
		{middleware.ErrBodyTooLarge, "413 ContentTooLargeException", ""},
		{middleware.ErrBodyEncoded, "415 UnsupportedMediaTypeException", ""},
		{middleware.ErrBodyCorrupt, "400 BadRequestException", ""},
		{middleware.ErrBodySlow, "408 RequestTimeoutException", ""},
		{middleware.ErrBodyCut, "400 BadRequestException", ""},
		{middleware.ErrBusy, "503 SlowDownException retry", ""},
		{context.DeadlineExceeded, "503 ServiceUnavailableException retry", ""},
		{context.Canceled, "503 ServiceUnavailableException retry", ""},
		{middleware.ErrPanic, "500 InternalServerError", "r1"},
		{errors.New("secret of ours"), "500 InternalServerError", "r1"},
		{&catalog.Error{Kind: "from-the-future", Message: "secret of ours"}, "500 InternalServerError", "r1"},
	} {
		v := judgeError(fmt.Errorf("at work: %w", tc.err), "r1")
		if got := text(v); got != tc.want || !strings.Contains(v.message, tc.says) || v.message == "" {
			t.Errorf("%v: %s %q, want %s", tc.err, got, v.message, tc.want)
		}
		if strings.Contains(v.message, "secret") {
			t.Errorf("clients read %q", v.message)
		}
	}
}

// A change whose outcome is unknown must never look like one that can be sent
// again, whatever lies under it.
func TestUnknownOutcomeIsNeverRetried(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{context.DeadlineExceeded, context.Canceled, middleware.ErrBusy, authn.ErrUnavailable} {
		v := judgeError(&catalog.Error{Kind: catalog.KindCommitUnknown, Message: "m", Cause: cause}, "r1")
		if v.status != 500 || v.errorType != "CommitStateUnknownException" || v.retryAfter != 0 {
			t.Errorf("%v: %+v", cause, v)
		}
	}
}
