package app

import (
	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
)

// Formats is what this program can read of what programs leave behind.
type Formats struct {
	// OldestCommand and NewestCommand are the command versions that it applies.
	OldestCommand uint32 `json:"oldest_command_version"`
	NewestCommand uint32 `json:"newest_command_version"`
	// Folder, State and Snapshot are the newest formats of a data folder, of the
	// replicated state in it and of snapshot streams.
	Folder   int `json:"folder_format"`
	State    int `json:"state_format"`
	Snapshot int `json:"snapshot_format"`
}

// KnownFormats tells what this program can read.
func KnownFormats() Formats {
	return Formats{
		OldestCommand: command.FirstVersion, NewestCommand: command.NewestVersion,
		Folder: FolderFormat, State: fsm.FolderFormat, Snapshot: fsm.StreamFormat,
	}
}
