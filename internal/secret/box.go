package secret

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// Log is the replicated log and the state that it leads to.
type Log interface {
	// Propose puts a transaction into the log. After an error nothing is known.
	Propose(ctx context.Context, tx *command.Transaction) (command.Result, error)
	// View gives this node's state, which may be behind. The caller closes it.
	View() (*state.View, error)
	// Current gives the state with all that was acknowledged before. The caller closes it.
	Current(ctx context.Context) (*state.View, error)
	// WaitApplied returns once this node has applied the log up to index.
	WaitApplied(ctx context.Context, index uint64) error
	// Leads tells whether this node leads.
	Leads() bool
	// NowMs is the replicated time, milliseconds since the Unix epoch.
	NowMs() uint64
}

// Options are what a Box is made of.
type Options struct {
	Log    Log
	Logger *slog.Logger
	// Node is this node's id.
	Node string
	// Key is the URL of the cluster key; "" is that this node holds none.
	Key string
	// Previous are the URLs of cluster keys that were in its place before.
	Previous []string
	// Cloud is who this node is to services that hold keys.
	Cloud Cloud
	// Owners are all that keep sealed secrets in the state.
	Owners []Owner
	// Peers are all nodes. Nil is this one alone.
	Peers Peers

	// Poll is how often the state is looked at for other data keys. Default 1 s.
	Poll time.Duration
	// Patience is how long a secret waits for its data key. Default 5 s.
	Patience time.Duration
	// RetryFirst and RetryMost bound the pause after a data key could not be unwrapped,
	// or a rotation not be brought to its end: it doubles each time. Defaults 1 s and 1 min.
	RetryFirst, RetryMost time.Duration
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{
		{&o.Poll, time.Second}, {&o.Patience, 5 * time.Second}, {&o.RetryFirst, time.Second}, {&o.RetryMost, time.Minute},
	} {
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// breath is the least pause between two looks at the state, however many ask for one.
const breath = 10 * time.Millisecond

// Box seals what only nodes that hold the cluster key may read. It is started by New
// and stopped by Close. It is safe for concurrent use.
type Box struct {
	opts Options
	ring keyring

	kick    chan struct{}
	closing context.Context
	close   context.CancelFunc
	done    sync.WaitGroup

	mu      sync.Mutex
	open    map[keyID]cipher.AEAD
	shut    map[keyID]*attempt
	minting *attempt      // of the first data key
	looked  chan struct{} // closed when the look at the state that comes next has ended

	// turning is held by who seals secrets anew.
	turning   sync.Mutex
	finishing attempt // of what a rotation left undone
}

// attempt is something that failed and is tried again.
type attempt struct {
	err   error
	again time.Time
	pause time.Duration
}

// failed notes that it failed once more. It tells whether it did so in another way.
func (a *attempt) failed(err error, o *Options) (news bool) {
	news = a.err == nil || a.err.Error() != err.Error()
	a.err = err
	a.pause = min(max(2*a.pause, o.RetryFirst), o.RetryMost)
	a.again = time.Now().Add(a.pause)
	return news
}

// New makes a box and starts it. Whoever holds the cluster key is asked later: that it
// does not answer keeps no node from starting.
func New(opts Options) (*Box, error) {
	opts.setDefaults()
	switch {
	case opts.Log == nil:
		return nil, errors.New("secret: Log is missing")
	case opts.Node == "":
		return nil, errors.New("secret: Node is missing")
	}
	ring, err := openKeyring(opts.Key, opts.Previous, opts.Cloud)
	if err != nil {
		return nil, err
	}
	return start(opts, ring), nil
}

func start(opts Options, ring keyring) *Box {
	b := &Box{
		opts: opts, ring: ring, kick: make(chan struct{}, 1),
		open: make(map[keyID]cipher.AEAD), shut: make(map[keyID]*attempt), looked: make(chan struct{}),
	}
	b.closing, b.close = context.WithCancel(context.Background())
	b.done.Go(b.loop)
	return b
}

// Close ends it. It is called once.
func (b *Box) Close(context.Context) error {
	b.close()
	b.done.Wait()
	return nil
}

// Seal seals a secret for a purpose, which whoever opens it must know: its kind (see
// Owner), and what it is of, such as "warehouse/prod/credentials". The transaction that
// brings it into the state takes what Precondition gives among its preconditions. So
// where a transaction is tried anew, the secret is sealed anew.
func (b *Box) Seal(ctx context.Context, purpose string, plain []byte) ([]byte, error) {
	kind := kindOf(purpose)
	if !slices.ContainsFunc(b.opts.Owners, func(o Owner) bool { return o.Kind() == kind }) {
		return nil, fmt.Errorf("secret: nobody owns secrets of kind %q", kind)
	}
	if len(b.ring) == 0 {
		return nil, ErrNoKey
	}
	var id keyID
	key, err := b.await(ctx, func() (cipher.AEAD, error) {
		known, err := b.known()
		if err != nil || known.Seals == nil || !slices.Contains(known.Kinds, kind) {
			return nil, errors.Join(err, b.noneYet())
		}
		if id, err = readID(known.Seals); err != nil {
			return nil, err
		}
		return b.key(id)
	})
	if err != nil {
		return nil, err
	}
	return sealWith(id, key, purpose, plain), nil
}

// Open opens what was sealed for a purpose.
func (b *Box) Open(ctx context.Context, purpose string, sealed []byte) ([]byte, error) {
	id, err := sealedBy(sealed)
	if err != nil {
		return nil, err
	}
	if len(b.ring) == 0 {
		return nil, ErrNoKey
	}
	key, err := b.opener(ctx, id)
	if err != nil {
		return nil, err
	}
	return openWith(key, purpose, sealed)
}

// Precondition is what must hold when a transaction applies that brings something into
// the state which was just sealed: that its data key is still the one to seal with.
// Else a rotation might have passed it by, and the key be forgotten.
func (b *Box) Precondition(sealed []byte) (*command.Precondition, error) {
	id, err := sealedBy(sealed)
	if err != nil {
		return nil, err
	}
	return command.KeyPresent(state.DataKeySealsKey(id[:])), nil
}

// await gives a data key as soon as there is one to give. Nil and no error is that
// another look at the state may bring it.
func (b *Box) await(ctx context.Context, find func() (cipher.AEAD, error)) (cipher.AEAD, error) {
	ctx, cancel := context.WithTimeout(ctx, b.opts.Patience)
	defer cancel()
	for {
		looked := b.nextLook()
		key, err := find()
		if key != nil || err != nil {
			return key, err
		}
		b.hurry()
		select {
		case <-looked:
		case <-b.closing.Done():
			return nil, fmt.Errorf("%w: this node is stopping", ErrUnavailable)
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: this node does not know the data key", ErrUnavailable)
		}
	}
}

func (b *Box) nextLook() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.looked
}

// key gives a data key from memory, or why it can't be had.
func (b *Box) key(id keyID) (cipher.AEAD, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if key, ok := b.open[id]; ok {
		return key, nil
	}
	if a, ok := b.shut[id]; ok {
		return nil, a.err
	}
	return nil, nil
}

// noneYet is why there is no key to seal with; nil is that it is on its way.
func (b *Box) noneYet() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.minting == nil {
		b.minting = &attempt{}
	}
	return b.minting.err
}

// known is what this node's state has of data keys.
func (b *Box) known() (*state.DataKeys, error) {
	v, err := b.opts.Log.View()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	return v.DataKeys()
}

// hurry has the state looked at soon.
func (b *Box) hurry() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

func (b *Box) loop() {
	for {
		b.look(b.closing)
		b.mu.Lock()
		close(b.looked)
		b.looked = make(chan struct{})
		b.mu.Unlock()
		if !b.pause(breath, nil) || !b.pause(b.opts.Poll, b.kick) {
			return
		}
	}
}

// pause waits; it is false where the box was closed.
func (b *Box) pause(d time.Duration, kick <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-kick:
	case <-b.closing.Done():
		return false
	}
	return true
}

// look takes up what the state has of data keys, and does what is to be done about them.
func (b *Box) look(ctx context.Context) {
	known, err := b.known()
	if err != nil {
		if ctx.Err() == nil {
			b.opts.Logger.Warn("the state can't be searched for data keys", "error", err)
		}
		return
	}
	b.forgetOthers(known)
	for _, rec := range known.Keys {
		b.unwrap(ctx, rec)
	}
	if len(b.ring) == 0 {
		return
	}
	b.provide(ctx, known)
	if len(known.Keys) > 1 && b.opts.Log.Leads() {
		// Apart: it waits for the looks that come next.
		b.done.Go(func() { b.resume(ctx) })
	}
}

// forgetOthers forgets data keys that the state does not have.
func (b *Box) forgetOthers(known *state.DataKeys) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.open {
		if _, ok := known.Find(id[:]); !ok {
			delete(b.open, id)
		}
	}
	for id := range b.shut {
		if _, ok := known.Find(id[:]); !ok {
			delete(b.shut, id)
		}
	}
}

// unwrap takes a data key into memory.
func (b *Box) unwrap(ctx context.Context, rec *state.DataKey) {
	id, err := readID(rec.GetId())
	if err != nil {
		b.opts.Logger.Error("the state holds a malformed data key", "error", err)
		return
	}
	b.mu.Lock()
	_, open := b.open[id]
	before, shut := b.shut[id]
	b.mu.Unlock()
	if open || shut && time.Now().Before(before.again) {
		return
	}
	key, err := b.unwrapped(ctx, rec.GetClusterKey(), rec.GetWrapped())
	if ctx.Err() != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.open[id] = key
		delete(b.shut, id)
		b.opts.Logger.Info("this node can open the cluster's secrets", "data_key", id.String(), "cluster_key", rec.GetClusterKey())
		return
	}
	if !shut {
		before = &attempt{}
		b.shut[id] = before
	}
	if before.failed(err, &b.opts) {
		b.opts.Logger.Error("this node can't open the cluster's secrets", "data_key", id.String(), "cluster_key", rec.GetClusterKey(), "error", err)
	}
}

func (b *Box) unwrapped(ctx context.Context, name string, wrapped []byte) (cipher.AEAD, error) {
	key, err := b.ring.unwrap(ctx, name, wrapped)
	if err != nil {
		return nil, err
	}
	return chacha20poly1305.NewX(key)
}
