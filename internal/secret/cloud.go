package secret

import (
	"context"
	"errors"
)

// errNoIdentity is returned when a node is to ask a cloud that it has no identity at.
var errNoIdentity = errors.New("this node has no identity at that cloud")

// Cloud is this node's own identity at the clouds, by which their services are asked to
// wrap data keys. A nil member is that there is none.
type Cloud struct {
	// AWS gives keys of AWS's chain: environment, shared file, the machine's role.
	AWS func(ctx context.Context) (AWSKeys, error)
	// Google gives a token for Google Cloud.
	Google func(ctx context.Context) (token string, err error)
	// Azure gives a token of Entra ID for Key Vault.
	Azure func(ctx context.Context) (token string, err error)
}

// AWSKeys are what requests to AWS are signed with.
type AWSKeys struct {
	ID, Secret string
	// Session is "" for keys that do not expire.
	Session string
}
