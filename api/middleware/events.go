package middleware

import "time"

// Events is told what happens to requests: metrics listen to it. Nil members
// are skipped. They are called from many goroutines at once and must not block.
type Events struct {
	// RequestDone is called once for each request, when its answer is written.
	RequestDone func(Done)
	// AuthFailed is called where it was not accepted who asks; reason is one of a
	// few words.
	AuthFailed func(reason string)
	// Denied is called where the one who asks may not do what it asks for.
	Denied func(action string)
	// Panicked is called for each panic that became an answer.
	Panicked func()
}

// Done is what became of a request. All its text comes from small fixed sets, so
// it is fit for labels.
type Done struct {
	Method string
	// Route is the route's template, "none" where no route matched.
	Route  string
	Status int
	// ErrorType is the type in the error body, "" where there is none.
	ErrorType string
	Elapsed   time.Duration
}
