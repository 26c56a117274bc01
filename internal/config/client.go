package config

// ClientName is a part of a client's certificate.
type ClientName string

// The parts of certificates that may name who asks.
const (
	// ClientCommonName is the subject's common name.
	ClientCommonName ClientName = "cn"
	// ClientDNS is the one DNS name.
	ClientDNS ClientName = "dns"
	// ClientEmail is the one address of mail.
	ClientEmail ClientName = "email"
	// ClientURI is the one URI.
	ClientURI ClientName = "uri"
)

func clientSettings() []Setting {
	return []Setting{
		{
			Name: "tls-client-name", Note: "certificates are no identity", Usage: "part of a client's certificate that names who asks: cn, dns, email or uri",
			parse: func(c *Config, value string) error {
				return oneOf(&c.ClientName, value, ClientCommonName, ClientDNS, ClientEmail, ClientURI)
			},
		},
		{
			Name: "tls-client-groups", Usage: "groups of those names, such as spark=writer,trino=reader",
			parse: groupsOf(func(c *Config) *map[string][]string { return &c.ClientGroups }, "spark=writer,trino=reader"),
		},
	}
}

// clients makes sure that names are those of certificates that were verified.
func clients(c *Config) error {
	switch {
	case c.ClientName != "" && c.TLS.CAFile == "":
		return problem("tls-client-ca", "is needed beside --tls-client-name: nobody else vouches for clients' names")
	case len(c.ClientGroups) > 0 && c.ClientName == "":
		return problem("tls-client-name", "is needed beside --tls-client-groups")
	}
	return nil
}
