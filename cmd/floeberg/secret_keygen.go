package main

import (
	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/app"
)

func secretKeygenCommand(connect connect) *cobra.Command {
	return keygenCommand(connect, keygen{
		short: "Make a cluster key, for --secret-key",
		long: `Make a cluster key, 32 random bytes in base64. Every node needs the same one, and whoever
restores a backup needs it: keep a copy where neither the nodes nor the backups are. Who
has lost it has lost the secrets.`,
		called: "name", make: app.MakeSecretKey,
	})
}
