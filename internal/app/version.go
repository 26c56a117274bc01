package app

import "github.com/floeberg/floeberg/fsm"

// Formats is what this program can read of what programs leave behind.
type Formats struct {
	// Folder, State and Snapshot are the newest formats of a data folder, of the
	// replicated state in it and of snapshot streams.
	Folder   int `json:"folder_format"`
	State    int `json:"state_format"`
	Snapshot int `json:"snapshot_format"`
}

// KnownFormats tells what this program can read.
func KnownFormats() Formats {
	return Formats{Folder: FolderFormat, State: fsm.FolderFormat, Snapshot: fsm.StreamFormat}
}
