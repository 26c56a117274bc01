// Package clock gives a running process a wall clock of its own, that can be
// set to any time at any moment, as a machine's can by a mistake or by a time
// server that has one.
//
// The program is the one that everyone runs, not built for this: what is changed
// is the copy of the kernel's vDSO in the memory of the process, the page of code
// through which programs ask for the time without a system call. Its
// clock_gettime is replaced by one that makes the system call and, where the
// wall clock was asked for, adds an offset. The monotonic clock is left alone, as
// it is where a machine's clock is set.
//
// It needs Linux on amd64, and root. The environment and LD_PRELOAD are of no use
// with a static program, and time namespaces don't have the wall clock.
package clock
