package serve

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/restriction"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/iceberg"
	"github.com/floeberg/floeberg/internal/newest"
)

// CapabilitiesHeader is where a client says what it can do, in words with commas
// between them.
const CapabilitiesHeader = "X-Iceberg-Client-Capabilities"

// readRestrictions is the word of a client that keeps to restrictions.
const readRestrictions = "read-restrictions"

// Reading is the right to be shown a table's metadata, with what must not be read of the
// table. Call.Reading alone makes one, and whatever shows a table, or gives access to
// its files, takes one: nothing is given to a reader that can't keep to restrictions.
type Reading struct {
	table    authz.Resource
	set      restriction.Set
	lineages *newest.Cache[*iceberg.Lineage]
}

// lineageBytes bounds the schemas of tables that are kept ready for restricted loads:
// a hundred tables of some hundred columns each that changed some ten times.
const lineageBytes = 16 << 20

// load is what is taken away from the right to load a table, as a ruling has it.
type load struct {
	table    authz.Resource
	set      restriction.Set
	versions map[string]uint64 // of the policies
}

// Reading is how the one who asks may be shown a table. It is refused where the
// policies restrict that, and the restrictions would not be kept to.
func (c *Call) Reading(ctx context.Context, table authz.Resource) (Reading, error) {
	return c.read(ctx, table)
}

// Identity is equal for equal restrictions, and "" where there are none.
func (r Reading) Identity() string {
	if len(r.set) == 0 {
		return ""
	}
	return r.set.Digest()
}

// Restrictions are what a reader of the table with a metadata document must keep to, in
// the form of the protocol; nil is nothing. Where they do not fit the table, nothing of
// it may be read. The document goes by the name that Reply has for it.
func (r Reading) Restrictions(document []byte, name Document) ([]byte, error) {
	if len(r.set) == 0 {
		return nil, nil
	}
	lineage, err := r.lineage(document, name)
	if err != nil {
		return nil, err
	}
	bound, err := r.set.Bind(lineage)
	if errors.Is(err, restriction.ErrUnfit) {
		return nil, catalog.Refuse(catalog.KindReadRestricted, "Forbidden: the policies restrict what you may read of %s, in a way that does not fit it as it is now, so nothing of it may be read; "+
			"whoever manages the policies can see why by explaining LoadTable on it", r.table)
	}
	if err != nil {
		return nil, err
	}
	return bound.JSON(), nil
}

// lineage reads the schemas of a document, once for each that has a name.
func (r Reading) lineage(document []byte, name Document) (*iceberg.Lineage, error) {
	if kept, ok := r.lineages.Get(name.Name, name.Revision); ok {
		return kept, nil
	}
	l, err := iceberg.ReadLineage(document)
	if err == nil && name != (Document{}) {
		r.lineages.Keep(name.Name, name.Revision, l, l.Bytes())
	}
	return l, err
}

// RestrictionsAfter are those of a table that was just changed. The change stands,
// so where they do not fit the table any more the reader is told to leave out every row.
func (r Reading) RestrictionsAfter(document []byte, name Document) ([]byte, error) {
	out, err := r.Restrictions(document, name)
	if catalog.KindOf(err) == catalog.KindReadRestricted {
		return restriction.NoRows().JSON(), nil
	}
	return out, err
}

func (s *server) reading(ctx context.Context, c *Call, table authz.Resource) (Reading, error) {
	set, asked, err := s.restrictions(ctx, c, table)
	if err != nil {
		return Reading{}, err
	}
	var why string
	switch {
	case len(set) == 0:
		return Reading{}, nil
	case !s.opts.ReadRestrictions:
		why = "this node hands out no restrictions (--read-restrictions is off)"
	case !announced(c.Request.Header):
		why = "the client does not say that it would keep to it (header " + CapabilitiesHeader + ": " + readRestrictions + ")"
	default:
		return Reading{table: table, set: set, lineages: s.lineages}, nil
	}
	by := set.Policies()
	s.recordDenial(c, authz.ActionLoadTable, table, &authz.Decision{Policies: by, PolicyVersion: versions(asked), Restrictions: by})
	return Reading{}, catalog.Refuse(catalog.KindReadRestricted, "Forbidden: the policies restrict what you may read of %s, and %s", table, why)
}

// restrictions are what the policies take away from the right to load a table. Who
// may not load it has no such right to take from: it is shown of the table what
// another right gives, such as the one to commit.
func (s *server) restrictions(ctx context.Context, c *Call, table authz.Resource) (set restriction.Set, asked map[string]uint64, err error) {
	for _, k := range c.loads {
		if sameResource(k.table, table) {
			return k.set, k.versions, nil
		}
	}
	// Whatever is said by a state that is not current, the call rests on it as evidence.
	ruling, err := s.opts.Authorizer.Authorize(ctx, c.Asking(authz.ActionLoadTable, table), false)
	if err != nil {
		return nil, nil, err
	}
	return ruling.Restrictions, ruling.Versions, c.rest(ruling.Evidence)
}

func sameResource(a, b authz.Resource) bool {
	return a.Kind == b.Kind && a.Warehouse == b.Warehouse && a.Name == b.Name && slices.Equal(a.Namespace, b.Namespace)
}

// announced tells whether a client says that it keeps to restrictions. It is only its
// word: whom to believe is for the policies to say.
func announced(h http.Header) bool {
	for _, line := range h.Values(CapabilitiesHeader) {
		for item := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(item), readRestrictions) {
				return true
			}
		}
	}
	return false
}
