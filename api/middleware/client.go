package middleware

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	"github.com/gin-gonic/gin"
)

// The headers in which proxies say whom they speak for.
const (
	// ForwardedFor is the one that most of them write.
	ForwardedFor = "X-Forwarded-For"
	// Forwarded is that of RFC 7239.
	Forwarded = "Forwarded"
)

// maxHops is more proxies than stand in any one way.
const maxHops = 32

// Proxies are those whose word on where a request comes from is taken. The zero
// value takes nobody's.
type Proxies struct {
	// Trusted is where they are.
	Trusted []netip.Prefix
	// Header is the one that all of them write, ForwardedFor unless it is set. The
	// other one is not looked at: a proxy passes on what it does not write itself, and
	// with it whatever a client put there.
	Header string
}

// Client is the address that a request comes from. A trusted proxy adds whom it
// got a request from on the right, so the header is read from there, as long as
// what it says comes from a trusted one: what is left of that, anybody could have
// written. Where a trusted proxy names no address, it is not known, and not valid.
func (p Proxies) Client(r *http.Request) netip.Addr {
	at := peerAddress(r.RemoteAddr)
	if !p.Trusts(at) {
		return at
	}
	name, parse := ForwardedFor, parseHop
	if p.Header == Forwarded {
		name, parse = Forwarded, parseForwarded
	}
	lines := r.Header.Values(name)
	for hops := 0; len(lines) > 0 && hops < maxHops; hops++ {
		line := lines[len(lines)-1]
		comma := strings.LastIndexByte(line, ',')
		if comma < 0 {
			lines = lines[:len(lines)-1]
		} else {
			// The header's own slice stays as it is.
			lines = append(lines[:len(lines)-1:len(lines)-1], line[:comma])
		}
		if at = parse(strings.Trim(line[comma+1:], " \t")); !p.Trusts(at) {
			return at
		}
	}
	return at
}

// Trusts tells whether a trusted proxy is at an address.
func (p Proxies) Trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, block := range p.Trusted {
		if block.Contains(a) {
			return true
		}
	}
	return false
}

// peerAddress is the address of who is at the other end of the connection.
func peerAddress(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// parseHop reads an address, with its port or without; what is none is not valid.
func parseHop(text string) netip.Addr {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		address, port, closed := strings.Cut(inner, "]")
		if !closed || port != "" && !strings.HasPrefix(port, ":") {
			return netip.Addr{}
		}
		text = address
	} else if strings.Count(text, ":") == 1 {
		text, _, _ = strings.Cut(text, ":")
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}
	}
	return a.Unmap()
}

// parseForwarded reads one element of the header Forwarded. No node's name holds a
// comma or a semicolon, so a quote that somebody left open on the left changes
// nothing on the right.
func parseForwarded(element string) netip.Addr {
	var found netip.Addr
	seen := false
	for pair := range strings.SplitSeq(element, ";") {
		name, value, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !ok || !strings.EqualFold(name, "for") {
			continue
		}
		if seen {
			return netip.Addr{} // which of them is meant can't be told
		}
		seen = true
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		found = parseHop(value)
	}
	return found
}

// Block is all addresses that are taken for one client: a single one of IPv4; a
// /64 of IPv6, which is the least that a line gets and whose addresses cost
// nothing. What is not known is one block too.
func Block(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	block, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return block
}

type clientKey struct{}

// WithClient puts the address that a request comes from into a context.
func WithClient(ctx context.Context, a netip.Addr) context.Context {
	return context.WithValue(ctx, clientKey{}, a)
}

// Client is the address that a context's request comes from; it is not valid where
// that is not known.
func Client(ctx context.Context) netip.Addr {
	a, _ := ctx.Value(clientKey{}).(netip.Addr)
	return a
}

// LocateClients finds out where each request comes from; see Client.
func LocateClients(p Proxies) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Request = c.Request.WithContext(WithClient(c.Request.Context(), p.Client(c.Request)))
		c.Next()
	}
}
