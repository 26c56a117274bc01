// Package backup keeps snapshots of the replicated state in an object store.
//
// Below the root that operators name, each cluster has a folder of its own, after
// its id, and in it a folder of snapshots:
//
//	<root>/<cluster id>/snapshots/<id>.snapshot       the stream that the state machine restores
//	<root>/<cluster id>/snapshots/<id>.snapshot.age   the same, encrypted
//	<root>/<cluster id>/snapshots/<id>.json           the manifest
//
// The manifest is written last, after what was uploaded has been read back and
// compared, so a snapshot that has one is whole and was seen to be. What has none
// is a leftover. Names are never used twice.
package backup
