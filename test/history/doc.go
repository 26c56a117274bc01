// Package history records what clients asked and were answered, and judges it:
// whether one order explains it all (porcupine says), and whether anything that
// was acknowledged is gone.
//
// Two kinds of things are watched. A table is a register that holds the id of
// its current snapshot: an append moves it from the parent to the new id, which
// is unique, and a load shows it. A name is there or not: it is created, dropped
// and looked for.
package history
