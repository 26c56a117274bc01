package catalog

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is the class of a refusal. Kinds are stored in answers to idempotent
// requests: they are never renamed.
type Kind string

// The kinds, and when each is returned.
const (
	// KindInvalid is returned when a request can't be carried out as it is written, whatever the state.
	KindInvalid Kind = "invalid"
	// KindForbiddenLocation is returned when a location lies outside the warehouse's roots.
	KindForbiddenLocation Kind = "forbidden-location"
	// KindUnprocessable is returned when a request contradicts itself.
	KindUnprocessable Kind = "unprocessable"
	// KindKeyReused is returned when an Idempotency-Key comes with another request than its first.
	KindKeyReused Kind = "key-reused"
	// KindUnsupported is returned when the protocol has it and we do not.
	KindUnsupported Kind = "unsupported"
	// KindTooLarge is returned when a document or request is over a documented limit.
	KindTooLarge Kind = "too-large"
	// KindNoSuchWarehouse is returned when the warehouse does not exist.
	KindNoSuchWarehouse Kind = "no-such-warehouse"
	// KindNoSuchNamespace is returned when the namespace does not exist.
	KindNoSuchNamespace Kind = "no-such-namespace"
	// KindNoSuchTable is returned when the table does not exist.
	KindNoSuchTable Kind = "no-such-table"
	// KindNoSuchView is returned when the view does not exist.
	KindNoSuchView Kind = "no-such-view"
	// KindNoSuchTask is returned when the background job does not exist.
	KindNoSuchTask Kind = "no-such-task"
	// KindNoSuchPolicyVersion is returned when the version of a policy set does not exist, or is not kept any more.
	KindNoSuchPolicyVersion Kind = "no-such-policy-version"
	// KindPoliciesChanged is returned when another version of a policy set is in force than the one to be replaced.
	KindPoliciesChanged Kind = "policies-changed"
	// KindPolicyLockout is returned when a change of policies would take from its author the right to change them.
	KindPolicyLockout Kind = "policy-lockout"
	// KindReadRestricted is returned when the policies restrict what is read of a table, and the restrictions would not be kept to.
	KindReadRestricted Kind = "read-restricted"
	// KindWarehouseRefused is returned when a change of a warehouse would do harm, such as to another one.
	KindWarehouseRefused Kind = "warehouse-refused"
	// KindWarehouseChanged is returned when a warehouse is not of the generation any more that was to be changed.
	KindWarehouseChanged Kind = "warehouse-changed"
	// KindStoreRefused is returned when a store does not let the catalog work in it. No state decides that.
	KindStoreRefused Kind = "store-refused"
	// KindNoSuchKey is returned when the API key does not exist.
	KindNoSuchKey Kind = "no-such-key"
	// KindKeyRefused is returned when a change of an API key would lock everybody out, or can't be made of that key.
	KindKeyRefused Kind = "key-refused"
	// KindKeyForbidden is returned when a key would give more than who asks for it has.
	KindKeyForbidden Kind = "key-forbidden"
	// KindNoSuchNode is returned when the cluster has no such node.
	KindNoSuchNode Kind = "no-such-node"
	// KindMembershipRefused is returned when a change of the cluster's membership would do harm.
	KindMembershipRefused Kind = "membership-refused"
	// KindKeyringRefused is returned when a change of gossip keys would leave nodes behind.
	KindKeyringRefused Kind = "keyring-refused"
	// KindNotFound is returned when a metadata file is missing from the object store.
	KindNotFound Kind = "not-found"
	// KindAlreadyExists is returned when the name or the location is taken.
	KindAlreadyExists Kind = "already-exists"
	// KindNotEmpty is returned when a namespace to be dropped still holds something.
	KindNotEmpty Kind = "not-empty"
	// KindCommitFailed is returned when a commit certainly did not and will not apply.
	KindCommitFailed Kind = "commit-failed"
	// KindCommitUnknown is returned when a change was proposed and its outcome could not be learned.
	KindCommitUnknown Kind = "commit-unknown"
	// KindRevoked is returned when what the caller's right rests on changed while the request was under way.
	KindRevoked Kind = "revoked"
	// KindUnavailable is returned when nothing was proposed and a repeat is safe.
	KindUnavailable Kind = "unavailable"
	// KindBusy is returned when a bounded queue is full and nothing was proposed.
	KindBusy Kind = "busy"
)

// Error is a refusal: its kind decides the answer's status, its message is what
// the client reads.
type Error struct {
	Kind    Kind
	Message string
	// Cause is for the log; it is not shown to clients.
	Cause error
}

// Error is the text for clients, and the cause for logs where there is one.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf is the kind of the refusal in err's chain, or "" where there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

func refuse(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

func refuseBecause(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// clientText is what clients may read of a refusal.
func clientText(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return Brief(e.Message)
	}
	return Brief(err.Error())
}

// Of a text that is too long its begin, which says what it is about, and its end,
// which often says what to do, are kept.
const (
	briefBegin = 1500
	briefEnd   = 400
)

// Brief is a message as it is answered, logged and remembered. Much of what
// messages quote is what a client sent, which may be as long as a request.
func Brief(text string) string {
	if len(text) <= briefBegin+briefEnd {
		return text
	}
	return strings.ToValidUTF8(text[:briefBegin]+" … "+text[len(text)-briefEnd:], "")
}
