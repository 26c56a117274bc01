package app

// Halt is what rooms do that can't go on.
func (a *App) Halt(err error) { a.halt(err) }

// Snapshot takes a snapshot of the state now.
func (a *App) Snapshot() error { return a.node.Snapshot() }
