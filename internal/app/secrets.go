package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/secret"
	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/internal/warehouse"
	"github.com/floeberg/floeberg/ops"
)

// secretService is the name under which nodes ask each other about the keys that
// secrets are kept under.
const secretService = "secret"

// secretPatience is how long a status waits for nodes that do not answer.
const secretPatience = 2 * time.Second

// openSecrets opens what keeps secrets in the state. Whoever holds the cluster key is
// asked in the background: a node that needs no secret does without.
func (a *App) openSecrets(context.Context) error {
	identity, err := storage.NewIdentity(storeConfig(a.config))
	if err != nil {
		return err
	}
	a.undo.add("closing connections to clouds", func(context.Context) error { identity.Close(); return nil })
	box, err := secret.New(secret.Options{
		Log:      secretLog{taskLog{a.node, a.machine}},
		Logger:   a.logger.With(slog.String("room", "secret")),
		Node:     a.config.NodeID,
		Key:      a.config.SecretKey,
		Previous: a.config.SecretKeysPrevious,
		Cloud: secret.Cloud{
			AWS: func(ctx context.Context) (secret.AWSKeys, error) {
				id, key, session, err := identity.AWSKeys(ctx)
				return secret.AWSKeys{ID: id, Secret: key, Session: session}, err
			},
			Google: identity.GoogleToken,
			Azure:  identity.AzureToken,
		},
		Owners: sealedSecrets(),
		Peers:  secretPeers{a},
	})
	if err != nil {
		return fmt.Errorf("secret-key: %w", err)
	}
	a.box.Store(box)
	a.undo.add("closing the box of secrets", box.Close)
	return nil
}

// sealedSecrets are all that keep sealed secrets in the state: what is not among them
// a rotation of keys does not find.
func sealedSecrets() []secret.Owner { return []secret.Owner{warehouse.Sealed{}} }

// secretLog is the cluster as the box of secrets sees it.
type secretLog struct{ taskLog }

// Current implements secret.Log.
func (l secretLog) Current(ctx context.Context) (*state.View, error) {
	return l.Node.View(ctx, cluster.Linearizable, 0)
}

// secretPeers is the cluster as the box of secrets sees it.
type secretPeers struct{ app *App }

// Nodes implements secret.Peers.
func (p secretPeers) Nodes() []string {
	var out []string
	for _, peer := range p.app.node.Status().Peers {
		if peer.Member {
			out = append(out, peer.ID)
		}
	}
	return out
}

// Ask implements secret.Peers.
func (p secretPeers) Ask(ctx context.Context, node string, question []byte) ([]byte, error) {
	return p.app.node.AskService(ctx, node, secretService, question)
}

// answerSecret answers other nodes about the keys of this one.
func (a *App) answerSecret(ctx context.Context, question []byte) ([]byte, error) {
	box := a.box.Load()
	if box == nil {
		return nil, errors.New("this node is starting")
	}
	return box.Answer(ctx, question)
}

// secretHints is what anybody may know of secrets that can't be opened here.
func (a *App) secretHints() []string {
	if hint := a.box.Load().Hint(); hint != "" {
		return []string{hint}
	}
	return nil
}

// secretNote is what a status says of the nodes that can't open secrets.
func (a *App) secretNote(ctx context.Context) statusNote {
	ctx, cancel := context.WithTimeout(ctx, secretPatience)
	defer cancel()
	return statusNote{Warnings: a.box.Load().Troubles(ctx)}
}

// secretFigures is how many data keys this node has, for metrics.
func (a *App) secretFigures() []ops.Figure {
	open, closed := a.box.Load().Counts()
	return []ops.Figure{
		{Name: "secret_data_keys", Help: "Data keys of the state that this node can open.", Value: float64(open)},
		{Name: "secret_data_keys_closed", Help: "Data keys of the state that this node can't open.", Value: float64(closed)},
	}
}

// MakeSecretKey writes a new cluster key to a file that must not exist, and gives its name.
func MakeSecretKey(file string) (name string, err error) {
	text, name := secret.NewKey()
	return name, makeKeyFile(file, text)
}
