package app

import "time"

// Halt is what rooms do that can't go on.
func (a *App) Halt(err error) { a.halt(err) }

// SetHaltGrace bounds the stop of a node that can't go on.
func (a *App) SetHaltGrace(d time.Duration) { a.haltGrace = d }

// Snapshot takes a snapshot of the state now.
func (a *App) Snapshot() error { return a.node.Snapshot() }

// StoreConfig is how object stores are reached.
var StoreConfig = storeConfig
