package rest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/internal/catalog"
)

// etag names what a client was shown, or would be, of a generation of a table. What
// must not be read of that follows from the generation and the policies.
func etag(c *serve.Call, t *catalog.Table, refsOnly bool, reading serve.Reading) string {
	what := "all"
	if refsOnly {
		what = "refs"
	}
	what += reading.Identity()
	return tag(c, t.WarehouseRevision, t.ID, t.Revision, what)
}

// viewTag names what a client was shown, or would be, of a generation of a view.
func viewTag(c *serve.Call, v *catalog.View) string {
	return tag(c, v.WarehouseRevision, v.ID, v.Revision, "view")
}

// tag names an answer. It is made of everything that the answer depends on and
// that all nodes agree on, so that it is the same on all of them: the warehouse
// and its settings, the table or view and its generation, what was asked for of
// it, who asks with which groups, and the kinds of access that it can use. Two
// principals never share a tag: one may get credentials or columns that the other
// may not.
func tag(c *serve.Call, warehouseRevision uint64, id []byte, revision uint64, what string) string {
	h := sha256.New()
	var number [8]byte
	addNumber := func(n uint64) {
		binary.BigEndian.PutUint64(number[:], n)
		h.Write(number[:])
	}
	addText := func(text string) {
		addNumber(uint64(len(text)))
		h.Write([]byte(text))
	}
	addList := func(list []string) {
		addNumber(uint64(len(list)))
		for _, text := range list {
			addText(text)
		}
	}
	addText(c.Warehouse)
	addNumber(warehouseRevision)
	addText(string(id))
	addNumber(revision)
	addText(what)
	addText(c.Principal.ID)
	addText(c.Principal.Tenant)
	addList(slices.Sorted(slices.Values(c.Principal.Groups)))
	addList(accessDelegation(c.Request.Header))
	return `"` + hex.EncodeToString(h.Sum(nil)[:16]) + `"`
}

// document names a table's document: the same one, whoever gets it and whatever
// stands around it. An answer that was made from a file names no generation, and
// so no document.
func document(t *catalog.Table, refsOnly bool) serve.Document {
	if t.Revision == 0 {
		return serve.Document{}
	}
	name := string(t.ID)
	if refsOnly {
		name += "refs"
	}
	return serve.Document{Name: name, Revision: t.Revision}
}
