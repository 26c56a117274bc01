package config

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// Walls are what strangers meet before anything is done for them.
type Walls struct {
	// TrustedProxies is where proxies are whose word on a client's address counts, and
	// ForwardedHeader the header in which they give it.
	TrustedProxies  []netip.Prefix
	ForwardedHeader ForwardedHeader
	// CORSOrigins are those whose pages may speak to the node from a browser.
	CORSOrigins []string
	// MaxConnections bounds those that are open, MaxConnectionsPerAddress those of
	// one address; 0 does not bound that.
	MaxConnections, MaxConnectionsPerAddress int
	// TLSMinVersion is the oldest version of TLS that is spoken.
	TLSMinVersion TLSVersion
	// PrincipalRate and AddressRate bound requests a second in the whole cluster, and
	// FailureRate attempts to authenticate from one address that fail; 0 does not.
	PrincipalRate, AddressRate, FailureRate int
}

// ForwardedHeader is the name of a header in which proxies name their clients.
type ForwardedHeader string

// The headers.
const (
	// XForwardedFor is what most proxies write.
	XForwardedFor ForwardedHeader = "x-forwarded-for"
	// Forwarded is that of RFC 7239.
	Forwarded ForwardedHeader = "forwarded"
)

// TLSVersion is the name of a version of TLS.
type TLSVersion string

// The versions of TLS.
const (
	// TLS12 is TLS 1.2.
	TLS12 TLSVersion = "1.2"
	// TLS13 is TLS 1.3.
	TLS13 TLSVersion = "1.3"
)

const (
	maxConnections = 1 << 20
	maxRate        = 1_000_000
)

// wallSettings are the settings of Walls.
func wallSettings() []Setting {
	return []Setting{
		{
			Name: "http-trusted-proxies", Usage: "proxies whose word on a client's address counts: addresses or CIDR blocks, comma-separated",
			parse: blocks(func(c *Config) *[]netip.Prefix { return &c.Walls.TrustedProxies }),
		},
		{
			Name: "http-forwarded-header", Default: string(XForwardedFor), Usage: "the header that they give it in: x-forwarded-for, or forwarded (RFC 7239)",
			parse: func(c *Config, value string) error {
				return oneOf(&c.Walls.ForwardedHeader, strings.ToLower(value), XForwardedFor, Forwarded)
			},
		},
		{
			Name: "http-cors-origins", Usage: "origins whose pages may speak to the node from a browser, such as https://console.example.com, comma-separated",
			parse: list(func(c *Config) *[]string { return &c.Walls.CORSOrigins }, origin),
		},
		{
			Name: "http-max-connections", Default: "16384", Usage: "connections of clients that may be open; three quarters of the open files at most",
			parse: count(func(c *Config) *int { return &c.Walls.MaxConnections }, 1, maxConnections),
		},
		{
			Name: "http-max-connections-per-address", Default: "4096", Usage: "connections that one address may have open, but for trusted proxies; 0 does not bound it",
			parse: count(func(c *Config) *int { return &c.Walls.MaxConnectionsPerAddress }, 0, maxConnections),
		},
		{
			Name: "tls-min-version", Default: string(TLS12), Usage: "oldest version of TLS that the HTTP listener speaks: 1.2 or 1.3",
			parse: func(c *Config, value string) error { return oneOf(&c.Walls.TLSMinVersion, value, TLS12, TLS13) },
		},
		{
			Name: "rate-limit-principal", Default: "0", Usage: "requests a second of one principal, in the whole cluster; 0 does not bound it",
			parse: count(func(c *Config) *int { return &c.Walls.PrincipalRate }, 0, maxRate),
		},
		{
			Name: "rate-limit-address", Default: "0", Usage: "requests a second from one address, in the whole cluster; 0 does not bound it",
			parse: count(func(c *Config) *int { return &c.Walls.AddressRate }, 0, maxRate),
		},
		{
			Name: "rate-limit-failures", Default: "100", Usage: "failed attempts to authenticate a second from one address, in the whole cluster; 0 does not bound it",
			parse: count(func(c *Config) *int { return &c.Walls.FailureRate }, 0, maxRate),
		},
	}
}

func blocks(field func(*Config) *[]netip.Prefix) func(*Config, string) error {
	return func(c *Config, value string) error {
		var out []netip.Prefix
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			b, err := block(item)
			if err != nil {
				return err
			}
			out = append(out, b)
		}
		*field(c) = out
		return nil
	}
}

var errNotABlock = errors.New("expected addresses or blocks of them, such as 10.0.0.5,10.1.0.0/16,fd00::/8")

// block reads a block of addresses, or a single one. One of IPv4 within IPv6 is one
// of IPv4, as connections' addresses are.
func block(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, errNotABlock
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errNotABlock
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, errNotABlock
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p.Bits() == 0 {
		return netip.Prefix{}, errors.New("names every address: then anybody could say where it comes from; name the proxies")
	}
	return p.Masked(), nil
}

// origin is exact, since a pattern that is read too widely opens the catalog to
// every page on the web.
func origin(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Scheme+"://"+u.Host != value ||
		value != strings.ToLower(value) || strings.ContainsAny(u.Host, "*, ") {
		return errors.New("expected whole origins as browsers write them, such as https://console.example.com, with no path and no *")
	}
	return nil
}
