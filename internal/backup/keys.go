package backup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
)

// Keys encrypt what goes to the object store, and open it again. A nil *Keys
// does not encrypt.
type Keys struct {
	recipients []age.Recipient
	names      []string // of the recipients
	identities []age.Identity
}

// maxKeyFile is more than any file of keys has.
const maxKeyFile = 64 << 10

// ReadKeys reads a file of keys, as age-keygen and "floeberg backup keygen" write
// it: secret keys (AGE-SECRET-KEY-…) and recipients (age1…), one a line. What is
// written is encrypted for all of them. With recipients alone a node can write
// snapshots and not read them.
func ReadKeys(file string) (*Keys, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKey, file, err)
	}
	k, err := parseKeys(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKey, file, err)
	}
	return k, nil
}

// parseKeys never repeats a line in an error: it may be most of a secret.
func parseKeys(data []byte) (*Keys, error) {
	k := &Keys{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := k.add(line); err != nil {
			return nil, fmt.Errorf("line %d is no age key: expected AGE-SECRET-KEY-1… or age1…", n)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(k.recipients) == 0 {
		return nil, errors.New("there is no key in it")
	}
	// Some kinds of recipients can't be mixed: found out now and not at the first snapshot.
	if _, err := age.Encrypt(io.Discard, k.recipients...); err != nil {
		return nil, errors.New("its keys can't be used together: they are of kinds that protect differently well")
	}
	return k, nil
}

func (k *Keys) add(line string) error {
	if !strings.HasPrefix(line, "AGE-SECRET-KEY-") {
		found, err := age.ParseRecipients(strings.NewReader(line))
		if err != nil {
			return err
		}
		return k.recipient(found[0])
	}
	found, err := age.ParseIdentities(strings.NewReader(line))
	if err != nil {
		return err
	}
	k.identities = append(k.identities, found...)
	switch identity := found[0].(type) {
	case *age.X25519Identity:
		return k.recipient(identity.Recipient())
	case *age.HybridIdentity:
		return k.recipient(identity.Recipient())
	}
	return ErrKey
}

func (k *Keys) recipient(r age.Recipient) error {
	named, ok := r.(fmt.Stringer)
	if !ok {
		return ErrKey
	}
	k.recipients, k.names = append(k.recipients, r), append(k.names, named.String())
	return nil
}

// Recipients are the public names of the keys.
func (k *Keys) Recipients() []string {
	if k == nil {
		return nil
	}
	return k.names
}

// CanDecrypt tells whether there is a secret key among them.
func (k *Keys) CanDecrypt() bool { return k != nil && len(k.identities) > 0 }

// Encrypt returns a writer that encrypts into w. Its Close writes the end,
// without which nothing can be read, and leaves w open.
func (k *Keys) Encrypt(w io.Writer) (io.WriteCloser, error) {
	out, err := age.Encrypt(w, k.recipients...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return out, nil
}

// Decrypt returns a reader of what was encrypted for one of the keys.
func (k *Keys) Decrypt(r io.Reader) (io.Reader, error) {
	if !k.CanDecrypt() {
		return nil, fmt.Errorf("%w: it is encrypted, and there is no secret key to open it with: give one with --snapshot-key", ErrKey)
	}
	in, err := age.Decrypt(r, k.identities...)
	var other *age.NoIdentityMatchError
	switch {
	case errors.As(err, &other):
		return nil, fmt.Errorf("%w: it is encrypted for other keys", ErrKey)
	case err != nil:
		return nil, err
	}
	return in, nil
}

// NewKey makes a key: the text of a file that ReadKeys reads, and its recipient.
func NewKey() (file, recipient string, err error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrKey, err)
	}
	recipient = identity.Recipient().String()
	return fmt.Sprintf("# public key: %s\n%s\n", recipient, identity), recipient, nil
}
