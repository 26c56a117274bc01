// Package fsm is the replicated state machine: log entries in, ordered keys in
// Pebble out, the same bytes on every node.
package fsm

//go:generate protoc --proto_path=.. --go_out=.. --go_opt=paths=source_relative fsm/command/command.proto fsm/state/record.proto fsm/state/restore.proto fsm/state/policy.proto
