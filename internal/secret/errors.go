package secret

import "errors"

var (
	// ErrNoKey is returned when the node holds no cluster key.
	ErrNoKey = errors.New("no cluster key is set, so this node can't keep or read secrets: " +
		"make one with 'floeberg secret keygen', and start every node with it as --secret-key")
	// ErrWrongKey is returned when the node's cluster key is not the one that is needed.
	ErrWrongKey = errors.New("this node can't read the cluster's secrets: its --secret-key is not the one that they are kept under")
	// ErrUnavailable is returned when the cluster key can't be used now.
	ErrUnavailable = errors.New("the cluster's secrets can't be sealed or read now")
	// ErrDamaged is returned when what is to be opened is nothing that was sealed for
	// this purpose, or is so no more.
	ErrDamaged = errors.New("damaged secret")
	// ErrRefused is returned when a rotation would leave nodes or secrets behind.
	ErrRefused = errors.New("refused")
	// ErrBadKey is returned when a cluster key is not written as one.
	ErrBadKey = errors.New("not a cluster key")
)
