// Package process starts programs that tests run beside themselves.
package process
