package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/spf13/cobra"
)

// gossipKeyBytes makes it AES-256.
const gossipKeyBytes = 32

func keyringGenerateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "generate",
		Short: "Print a new key; no node is asked",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key := make([]byte, gossipKeyBytes)
			if _, err := rand.Read(key); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), base64.StdEncoding.EncodeToString(key))
			return err
		},
	}
}
