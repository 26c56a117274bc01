// Package identity is the use cases of API keys: they are made, listed, rotated and
// revoked in the replicated state, so that what holds of a key holds on every node from
// one log index on.
package identity
