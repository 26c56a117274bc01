// Package iceberg is the table and view format as a catalog needs it: metadata
// documents, the updates and requirements of the REST protocol, and the rules by
// which one version of a table follows from another.
//
// It is pure: no I/O, no clock, no randomness. What is not a function of the
// document and the request comes in through [Env]. A [Table] is an immutable
// version; [Apply] makes the next one and says in [Changes] what a store has to
// write, so that a commit costs as much as it changes and not as much as the
// table has history. DESIGN.md explains why.
package iceberg
