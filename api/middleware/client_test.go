package middleware_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/api/middleware"
)

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

func TestWhereRequestsComeFrom(t *testing.T) {
	t.Parallel()
	behind := middleware.Proxies{Trusted: prefixes("10.0.0.0/8", "fd00::/8")}
	rfc := middleware.Proxies{Trusted: behind.Trusted, Header: middleware.Forwarded}
	const unknown = "invalid IP"
	for name, tc := range map[string]struct {
		proxies middleware.Proxies
		remote  string
		header  http.Header
		want    string
	}{
		"nobody is trusted":            {remote: "10.0.0.1:1", header: http.Header{"X-Forwarded-For": {"1.2.3.4"}}, want: "10.0.0.1"},
		"a stranger's word":            {behind, "8.8.8.8:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "8.8.8.8"},
		"a proxy's word":               {behind, "10.0.0.1:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "1.2.3.4"},
		"the proxy itself":             {behind, "10.0.0.1:1", nil, "10.0.0.1"},
		"what the client wrote":        {behind, "10.0.0.1:1", http.Header{"X-Forwarded-For": {"6.6.6.6, 1.2.3.4"}}, "1.2.3.4"},
		"in a line of its own":         {behind, "10.0.0.1:1", http.Header{"X-Forwarded-For": {"6.6.6.6", "1.2.3.4"}}, "1.2.3.4"},
		"two proxies":                  {behind, "10.0.0.1:1", http.Header{"X-Forwarded-For": {"6.6.6.6, 1.2.3.4 ,10.0.0.2"}}, "1.2.3.4"},
		"two proxies, two lines":       {behind, "[fd00::1]:1", http.Header{"X-Forwarded-For": {"6.6.6.6, 1.2.3.4", "10.0.0.2"}}, "1.2.3.4"},
		"all are proxies":              {behind, "10.0.0.1:1", http.Header{"X-Forwarded-For": {"10.0.0.3, 10.0.0.2"}}, "10.0.0.3"},
		"a hop that is not known":      {behind, "10.0.0.1:1", http.Header{"X-Forwarded-For": {"6.6.6.6, unknown"}}, unknown},
		"an empty hop":                 {behind, "10.0.0.1:1", http.Header{"X-Forwarded-For": {"6.6.6.6,"}}, unknown},
		"with a port":                  {behind, "10.0.0.1:1", http.Header{"X-Forwarded-For": {"1.2.3.4:5678"}}, "1.2.3.4"},
		"of IPv6":                      {behind, "10.0.0.1:1", http.Header{"X-Forwarded-For": {"2001:db8::1"}}, "2001:db8::1"},
		"of IPv6 with a port":          {behind, "10.0.0.1:1", http.Header{"X-Forwarded-For": {"[2001:db8::1]:80"}}, "2001:db8::1"},
		"of IPv6 with junk":            {behind, "10.0.0.1:1", http.Header{"X-Forwarded-For": {"[2001:db8::1]x"}}, unknown},
		"a zone":                       {behind, "10.0.0.1:1", http.Header{"X-Forwarded-For": {"fe80::1%eth0"}}, unknown},
		"mapped":                       {behind, "[::ffff:10.0.0.1]:1", http.Header{"X-Forwarded-For": {"::ffff:1.2.3.4"}}, "1.2.3.4"},
		"a zone of the connection":     {behind, "[fe80::1%eth0]:1", nil, "fe80::1"},
		"no address at all":            {behind, "@", nil, unknown},
		"the header that is not read":  {behind, "10.0.0.1:1", http.Header{"Forwarded": {"for=6.6.6.6"}, "X-Forwarded-For": {"1.2.3.4"}}, "1.2.3.4"},
		"more hops than there can be":  {behind, "10.0.0.1:1", http.Header{"X-Forwarded-For": {"6.6.6.6" + strings.Repeat(",10.0.0.2", 40)}}, "10.0.0.2"},
		"Forwarded":                    {rfc, "10.0.0.1:1", http.Header{"Forwarded": {"for=6.6.6.6, For=1.2.3.4;proto=https;by=10.0.0.1"}, "X-Forwarded-For": {"6.6.6.6"}}, "1.2.3.4"},
		"Forwarded, quoted":            {rfc, "10.0.0.1:1", http.Header{"Forwarded": {`proto=http; for="[2001:db8::1]:80"`}}, "2001:db8::1"},
		"Forwarded, a quote left open": {rfc, "10.0.0.1:1", http.Header{"Forwarded": {`for="6.6.6.6, for=1.2.3.4`}}, "1.2.3.4"},
		"Forwarded, hidden":            {rfc, "10.0.0.1:1", http.Header{"Forwarded": {"for=6.6.6.6, for=_hidden"}}, unknown},
		"Forwarded, without for":       {rfc, "10.0.0.1:1", http.Header{"Forwarded": {"for=6.6.6.6, proto=http"}}, unknown},
		"Forwarded, twice":             {rfc, "10.0.0.1:1", http.Header{"Forwarded": {"for=1.2.3.4;for=6.6.6.6"}}, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: tc.remote, Header: tc.header}
			before := strings.Join(tc.header["X-Forwarded-For"], "|")
			if got := tc.proxies.Client(r).String(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if after := strings.Join(tc.header["X-Forwarded-For"], "|"); after != before {
				t.Errorf("the header was changed from %q to %q", before, after)
			}
		})
	}
}

// FuzzClient: what a stranger writes never becomes its address, whatever it is,
// where a proxy adds the one that it sees.
func FuzzClient(f *testing.F) {
	for _, seed := range []string{"", "1.2.3.4", "for=1.2.3.4", `for="[::1]:x`, "unknown", ",,", "\x00", "for=\"a, b\";by=x", "10.0.0.2"} {
		f.Add(seed)
	}
	trusted := prefixes("10.0.0.0/8")
	f.Fuzz(func(t *testing.T, text string) {
		for header, seen := range map[string]string{middleware.ForwardedFor: "192.0.2.7", middleware.Forwarded: "for=192.0.2.7"} {
			p := middleware.Proxies{Trusted: trusted, Header: header}
			for _, lines := range [][]string{{text + ", " + seen}, {text, seen}} {
				got := p.Client(&http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{header: lines}})
				if got.String() != "192.0.2.7" {
					t.Fatalf("%s %q: %s", header, lines, got)
				}
			}
			// By itself it is read or it is not.
			p.Client(&http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{header: {text}}})
		}
	})
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"1.2.3.4": "1.2.3.4/32", "::ffff:1.2.3.4": "1.2.3.4/32",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := middleware.Block(netip.MustParseAddr(address)).String(); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	if got := middleware.Block(netip.Addr{}); got.IsValid() {
		t.Error(got)
	}
	if middleware.Client(t.Context()).IsValid() {
		t.Error("a context of no request has an address")
	}
}
