// Package audit keeps a record of who asked for what, what was decided, and what
// became of it: lines of JSON, chained by hashes, in a file, on standard output
// or in a syslog.
package audit
