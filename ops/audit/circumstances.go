package audit

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Circumstances are what a decision looked at besides who does what to what, and from
// where: with them it can be made again.
type Circumstances struct {
	// Time is the replicated time by which it was made.
	Time time.Time `json:"time,omitzero"`
	// Authentication is how the principal had shown who it is.
	Authentication string `json:"authentication"`
	// Access is the access to files that was asked for.
	Access string `json:"access"`
	// ReferencedBy is the views through which the caller said that it reads.
	ReferencedBy []Resource `json:"referenced_by,omitempty"`
}

// Raw is the circumstances as a record's context.
func (c Circumstances) Raw() json.RawMessage {
	raw, err := json.Marshal(c)
	if err != nil { // a time beyond the year 9999
		return json.RawMessage(`{"omitted":true}`)
	}
	return raw
}

// Circumstances are those of a decision. Not ok is a record from which it can't be
// made again, because something was too long to be kept whole. A record of before
// they were kept has none, and is ok.
func (r *Record) Circumstances() (c Circumstances, ok bool) {
	var context struct {
		Circumstances
		Omitted bool `json:"omitted"`
	}
	if len(r.Context) > 0 && json.Unmarshal(r.Context, &context) != nil || context.Omitted || !r.whole() {
		return c, false
	}
	for i := range context.ReferencedBy {
		if !context.ReferencedBy[i].whole() {
			return c, false
		}
	}
	return context.Circumstances, true
}

// whole tells whether nothing was cut of what a decision goes by.
func (r *Record) whole() bool {
	if n := len(r.Groups); n > 0 && strings.HasPrefix(r.Groups[n-1], listCut) || isCut(r.Principal, r.PrincipalName, r.Tenant) || isCut(r.Groups...) {
		return false
	}
	return r.Resource == nil || r.Resource.whole()
}

func (r *Resource) whole() bool {
	if n := len(r.Namespace); n > 0 && strings.HasPrefix(r.Namespace[n-1], listCut) {
		return false
	}
	return !isCut(r.Warehouse, r.Name) && !isCut(r.Namespace...)
}

// isCut tells whether one of the texts was cut by appendText, or looks like it.
func isCut(texts ...string) bool {
	for _, text := range texts {
		if len(text) > maxText-utf8.UTFMax && strings.HasSuffix(text, textCut) {
			return true
		}
	}
	return false
}
