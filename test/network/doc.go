// Package network is a network of the test's own: each host is a network
// namespace with a loopback of its own and one interface, whose packets this
// process takes and hands on. So packets between any two hosts, in one direction
// or both, can be dropped, delayed, lost and reordered, and the hosts see what
// they would see of a bad cable: silence.
//
// It needs Linux and root, and no program: namespaces and interfaces are made by
// system calls. They have no names, so they are gone with the processes that
// hold them, however the test ends. No packet can leave: the only way out of a
// host is this process, which knows the hosts and nobody else.
package network
