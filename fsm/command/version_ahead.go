//go:build floeberg_ahead

package command

// ahead makes this the program of a release to come: its entries, once it may
// write them, are ones that no released program applies. Tests of rolling upgrades
// are built so.
const ahead = 1
