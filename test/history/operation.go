package history

import "time"

// Kind is what an operation does.
type Kind string

// The operations on a table, and those on a name.
const (
	Load   Kind = "load"
	Append Kind = "append"

	Create Kind = "create"
	Drop   Kind = "drop"
	Look   Kind = "look"
)

// Operation is one request, from its call to its answer.
type Operation struct {
	// Client is who asked; one client asks one thing at a time.
	Client int
	// Entity is the table or the name.
	Entity string
	Kind   Kind
	// Parent and ID are an append's: where it saw the table, where it moves it.
	Parent, ID int64

	Fate Fate
	// Current is the snapshot that a load showed; 0 is none.
	Current int64

	Called, Returned time.Time
}

// Fate is what the answer says about an operation.
type Fate int

const (
	// Done is that it was done; for a look, that the name is there.
	Done Fate = iota
	// Refused is that it was certainly not done because of what is there: a
	// conflict, a name that exists or doesn't.
	Refused
	// Unknown is that it may have been done, or may be later.
	Unknown
)
