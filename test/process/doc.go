// Package process starts programs that tests run beside themselves, and finds
// ports for them to listen on.
package process
