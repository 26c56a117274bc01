package archive

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

const (
	logFolder       = "log"
	segmentSuffix   = ".segment"
	encryptedSuffix = ".age"
)

// Segment is what the name of a segment tells.
type Segment struct {
	// First and Last are the indexes of its entries, Term is the last one's.
	First, Last, Term uint64
	// Encrypted tells whether its content is.
	Encrypted bool
}

func (s Segment) name() string {
	name := fmt.Sprintf("%020d-%020d-%d%s", s.First, s.Last, s.Term, segmentSuffix)
	if s.Encrypted {
		name += encryptedSuffix
	}
	return name
}

// parseName reads a segment's name; whatever else lies there is none.
func parseName(location string) (s Segment, ok bool) {
	name := path.Base(location)
	base, encrypted := strings.CutSuffix(name, encryptedSuffix)
	base, ok = strings.CutSuffix(base, segmentSuffix)
	parts := strings.Split(base, "-")
	if !ok || len(parts) != 3 {
		return s, false
	}
	s.Encrypted = encrypted
	for i, n := range []*uint64{&s.First, &s.Last, &s.Term} {
		var err error
		if *n, err = strconv.ParseUint(parts[i], 10, 64); err != nil {
			return s, false
		}
	}
	return s, s.name() == name && s.First > 0 && s.First <= s.Last
}
