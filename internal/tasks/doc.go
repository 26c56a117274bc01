// Package tasks works on the jobs that outlive the request that asked for them.
//
// A job is a record in the replicated state, made by the very transaction that
// makes it necessary. A runner on each node looks for records that nobody works
// on, takes one by a transaction that is bound to the record's revision, and
// holds it by a lease in replicated time that it keeps renewing. It looks before
// each step that deletes something whether the lease is still its own and long
// enough, so that at no time two nodes work on one job; and since every step can
// be done again, it does not matter where the one before was cut off.
package tasks
