// Package storage reads and writes whole objects in object stores and in local
// directories, behind one small interface, and knows how their locations are
// spelled.
//
// It is built for a catalog's metadata files: written once under a name that
// nobody used before, read whole, never changed. Three properties matter more
// here than speed:
//
//   - Put returns nil only when the object is durable, and never replaces one
//     that is there. A Put whose outcome could not be learned says so
//     (ErrUnavailable), and the object may or may not exist afterwards.
//   - A slow or dead store costs its callers an error in bounded time, and the
//     process a bounded number of goroutines; it never holds up anything else.
//   - No location outside the roots that a store was opened with is ever
//     touched, whatever a client sends.
//
// Locations are compared, confined and stored in one canonical spelling: see
// Canonical.
package storage
