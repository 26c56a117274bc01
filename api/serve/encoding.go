package serve

import (
	"net/http"
	"strconv"
	"strings"
)

// encoding is how a body is compressed.
type encoding uint8

const (
	encodingNone encoding = iota
	encodingGzip
	encodingZstd
)

// token is the encoding's name in headers; "" is none.
func (e encoding) token() string {
	switch e {
	case encodingGzip:
		return "gzip"
	case encodingZstd:
		return "zstd"
	default:
		return ""
	}
}

// suffix sets the tags of an encoding's bytes apart from those of others.
func (e encoding) suffix() string {
	if e == encodingNone {
		return ""
	}
	return "-" + e.token()
}

// accepted is what a client reads.
type accepted struct {
	// best is the compression that it likes most; encodingNone is none at all.
	best encoding
	// only tells that it does not read what is not compressed.
	only bool
}

// preference is the order of encodings that a client likes equally: zstd takes
// less time for less bytes.
var preference = []encoding{encodingZstd, encodingGzip}

// accept reads Accept-Encoding. Items that can't be read are skipped: the worst
// that comes of it is an answer that is not compressed.
func accept(h http.Header) (accepted, error) {
	lines := h.Values("Accept-Encoding")
	if len(lines) == 0 {
		return accepted{}, nil
	}
	weights := map[string]float64{}
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			name, q, ok := weighted(item)
			if ok {
				weights[name] = q
			}
		}
	}
	weight := func(name string, otherwise float64) float64 {
		if q, ok := weights[name]; ok {
			return q
		}
		if q, ok := weights["*"]; ok {
			return q
		}
		return otherwise
	}
	out, most := accepted{}, 0.0
	for _, e := range preference {
		if q := weight(e.token(), 0); q > most {
			out.best, most = e, q
		}
	}
	// What is not mentioned is as good as anything, but liked less than what is.
	plain := weight("identity", 0.0001)
	switch {
	case plain > 0 && plain > most:
		out.best = encodingNone
	case plain == 0 && out.best == encodingNone:
		return out, errNoEncoding
	}
	out.only = plain == 0
	return out, nil
}

// weighted reads one item of the header: a name and how much it is liked.
func weighted(item string) (name string, q float64, ok bool) {
	name, params, has := strings.Cut(item, ";")
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" {
		return "", 0, false
	}
	if name == "x-gzip" {
		name = "gzip"
	}
	if !has {
		return name, 1, true
	}
	key, value, _ := strings.Cut(params, "=")
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	// The comparison fails for what is no number, too.
	if err != nil || !strings.EqualFold(strings.TrimSpace(key), "q") || !(0 <= q && q <= 1) {
		return "", 0, false
	}
	return name, q, true
}
