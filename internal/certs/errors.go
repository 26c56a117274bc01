package certs

import "errors"

var (
	// ErrExists is returned when a file to write is there already.
	ErrExists = errors.New("is there already")
	// ErrExpired is returned when an authority's time is over.
	ErrExpired = errors.New("has expired")
	// ErrKeyMismatch is returned when a key is not that of its certificate.
	ErrKeyMismatch = errors.New("does not fit")
	// ErrNoCertificate is returned when a file holds no certificate.
	ErrNoCertificate = errors.New("holds no certificate")
	// ErrNotAuthority is returned when a certificate must not sign others.
	ErrNotAuthority = errors.New("is not the certificate of an authority")
	// ErrInput is returned when what is asked for can't be put into a certificate.
	ErrInput = errors.New("not possible in a certificate")
)
