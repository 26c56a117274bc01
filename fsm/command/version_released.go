//go:build !floeberg_ahead

package command

// ahead is how many versions a build is ahead of the released ones.
const ahead = 0
