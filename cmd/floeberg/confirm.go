package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

var (
	// errNotConfirmed is returned when a person does not say yes.
	errNotConfirmed = errors.New("nothing was done")
	// errNobodyToAsk is returned when a command that must ask has no terminal.
	errNobodyToAsk = errors.New("there is no terminal to ask at: confirm with --yes")
)

// yesFlag adds --yes. The returned function asks unless it was given.
func yesFlag(cmd *cobra.Command) func(question string) error {
	yes := cmd.Flags().Bool("yes", false, "do it without asking")
	return func(question string) error {
		if *yes {
			return nil
		}
		if !isTerminal(cmd.InOrStdin()) {
			return &usageError{errNobodyToAsk}
		}
		fmt.Fprint(cmd.ErrOrStderr(), question+" [y/N] ")
		answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if err != nil {
			return fmt.Errorf("%w: %w", errNotConfirmed, err)
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "y", "yes":
			return nil
		}
		return errNotConfirmed
	}
}
