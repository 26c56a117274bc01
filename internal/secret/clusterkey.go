package secret

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"
)

// Where a cluster key may be.
const (
	schemeFile = "file"
	schemeEnv  = "env"
)

// services are those that hold cluster keys themselves and give none away, by the
// schemes of their URLs, which are those that other programs know them by. Their own
// client libraries would make half of the program.
var services = map[string]service{
	"hashivault":    {form: "hashivault://KEY", open: openVault},
	"awskms":        {form: "awskms://alias/NAME?region=REGION", open: openAWS},
	"gcpkms":        {form: "gcpkms://projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY", open: openGCP},
	"azurekeyvault": {form: "azurekeyvault://VAULT.vault.azure.net/keys/KEY", open: openAzure},
}

// service is one of them.
type service struct {
	// form is what its URLs look like.
	form string
	// open reads a URL. Nobody is asked for anything yet.
	open func(*url.URL, Cloud) (keeper, error)
}

// settingPrefix begins the names of variables that are settings.
const settingPrefix = "FLOEBERG_"

// CheckURL tells whether a URL is of a cluster key, and reads the key where the node is
// to hold it itself. Nobody is asked for anything.
func CheckURL(address string) error {
	_, err := parseURL(address, Cloud{})
	return err
}

// clusterKey is a key that data keys are wrapped with.
type clusterKey struct {
	// name is how people know it; it is no secret.
	name string
	// scheme tells keys of one service from those of others.
	scheme string
	keeper keeper
}

func parseURL(address string, cloud Cloud) (*clusterKey, error) {
	// What can't be parsed is not repeated: it may be a key in the wrong place.
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return nil, fmt.Errorf("%w: expected %s", ErrBadKey, places)
	}
	if u.User != nil {
		return nil, fmt.Errorf("%w: credentials don't belong into its URL, where others see them: the environment is the place", ErrBadKey)
	}
	switch u.Scheme {
	case schemeFile:
		if u.Host != "" || !path.IsAbs(u.Path) || u.RawQuery != "" {
			return nil, fmt.Errorf("%w: expected an absolute path, file:///PATH", ErrBadKey)
		}
		key, err := readKeyFile(u.Path)
		if err != nil {
			return nil, err
		}
		return localKey(key)
	case schemeEnv:
		name := strings.TrimPrefix(address, schemeEnv+"://")
		switch {
		case name == "" || strings.ContainsAny(name, "/?#=%:@ "):
			return nil, fmt.Errorf("%w: expected the name of a variable, env://NAME", ErrBadKey)
		case strings.HasPrefix(name, settingPrefix):
			return nil, fmt.Errorf("%w: variables that begin with %s are settings: give it another name", ErrBadKey, settingPrefix)
		}
		key, err := readKeyVariable(name)
		if err != nil {
			return nil, err
		}
		return localKey(key)
	}
	service, known := services[u.Scheme]
	if !known {
		return nil, fmt.Errorf("%w: unknown place %s://: use %s", ErrBadKey, u.Scheme, places)
	}
	k, err := service.open(u, cloud)
	if err != nil {
		return nil, fmt.Errorf("%w: expected %s: %w", ErrBadKey, service.form, err)
	}
	return &clusterKey{name: u.Scheme + "://" + u.Host + u.Path, scheme: u.Scheme, keeper: k}, nil
}

// places are where a cluster key may be, for messages.
const places = "file:///PATH, env://NAME, hashivault://KEY, awskms://…, gcpkms://… or azurekeyvault://…"

func localKey(key []byte) (*clusterKey, error) {
	k, err := newLocalKeeper(key)
	if err != nil {
		return nil, err
	}
	return &clusterKey{name: localName(key), scheme: schemeFile, keeper: k}, nil
}

// local tells whether the node holds the key itself: what it can't unwrap then is
// another key's for certain.
func (k *clusterKey) local() bool { return k.scheme == schemeFile }

// serviceTimeout bounds a question to whoever holds the key.
const serviceTimeout = 10 * time.Second

func (k *clusterKey) wrap(ctx context.Context, key []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	wrapped, err := k.keeper.encrypt(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.name, err)
	}
	return wrapped, nil
}

func (k *clusterKey) unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	key, err := k.keeper.decrypt(ctx, wrapped)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", k.name, err)
	case len(key) != keyBytes:
		return nil, fmt.Errorf("%s: what it unwrapped has %d bytes and not %d", k.name, len(key), keyBytes)
	}
	return key, nil
}

// keyring is the cluster keys that a node holds: the first one wraps, the others only
// unwrap what they wrapped before it came in their place.
type keyring []*clusterKey

func openKeyring(current string, previous []string, cloud Cloud) (keyring, error) {
	if current == "" {
		if len(previous) > 0 {
			return nil, fmt.Errorf("%w: an earlier key without one in its place", ErrBadKey)
		}
		return nil, nil
	}
	var ring keyring
	for _, address := range append([]string{current}, previous...) {
		key, err := parseURL(address, cloud)
		if err != nil {
			return nil, err
		}
		ring = append(ring, key)
	}
	return ring, nil
}

func (r keyring) names() []string {
	out := make([]string, 0, len(r))
	for _, k := range r {
		out = append(out, k.name)
	}
	return out
}

// unwrap gives a data key that the cluster key of a name wrapped. A service may be known
// to nodes by several names, so where none has this one, all of the same kind are tried.
func (r keyring) unwrap(ctx context.Context, name string, wrapped []byte) ([]byte, error) {
	if len(r) == 0 {
		return nil, ErrNoKey
	}
	able := r.that(func(k *clusterKey) bool { return k.name == name })
	if len(able) == 0 {
		scheme, _, _ := strings.Cut(name, ":")
		able = r.that(func(k *clusterKey) bool { return !k.local() && k.scheme == scheme })
	}
	if len(able) == 0 {
		return nil, fmt.Errorf("%w: needed is %s, and it has %s", ErrWrongKey, name, strings.Join(r.names(), ", "))
	}
	var failed []error
	for _, k := range able {
		key, err := k.unwrap(ctx, wrapped)
		if err == nil {
			return key, nil
		}
		failed = append(failed, err)
	}
	if able[0].local() {
		return nil, fmt.Errorf("%w: the data key is damaged: %w", ErrDamaged, errors.Join(failed...))
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(failed...))
}

func (r keyring) that(fits func(*clusterKey) bool) (out keyring) {
	for _, k := range r {
		if fits(k) {
			out = append(out, k)
		}
	}
	return out
}
