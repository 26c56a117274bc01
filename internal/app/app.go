// Package app is a whole node: the only place where the rooms are connected.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/api"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/api/rest"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/authz/authn/oidc"
	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/internal/archive"
	"github.com/floeberg/floeberg/internal/backup"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/config"
	"github.com/floeberg/floeberg/internal/identity"
	"github.com/floeberg/floeberg/internal/policy"
	"github.com/floeberg/floeberg/internal/restore"
	"github.com/floeberg/floeberg/internal/secret"
	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/internal/tasks"
	"github.com/floeberg/floeberg/internal/warehouse"
	"github.com/floeberg/floeberg/ops"
	"github.com/floeberg/floeberg/ops/audit"
)

// Options are what a node is made of.
type Options struct {
	// Config is the node's settings. Required.
	Config *config.Config
	// Version is the program's.
	Version string
	// Log is where log lines go. Default: nowhere.
	Log io.Writer
	// Out is where the user reads what is for people only, such as a minted key.
	// Default: nowhere.
	Out io.Writer
	// Reload reads the settings again; nil reads none.
	Reload func() (*config.Config, error)
}

// App is one node. It is started once and stopped once.
type App struct {
	opts   Options
	config *config.Config

	level   *slog.LevelVar
	logger  *slog.Logger
	bare    *slog.Logger // for the cluster, which names the node itself
	metrics *ops.Metrics
	tail    *ops.Tail // of the log

	undo      cleanup
	halted    chan error
	haltGrace time.Duration // the constant; tests have more patience
	draining  atomic.Bool

	folder      *folder
	certificate *certificate
	door        *door
	patience    *time.Timer // opens the door where the start takes long
	handler     *gate
	server      *http.Server
	giveUp      context.CancelFunc // ends the contexts of all requests
	machine     *fsm.Machine
	node        *cluster.Node
	stores      *warehouse.Stores
	founding    *founding
	keeper      atomic.Pointer[backup.Keeper] // nil without a snapshot store
	snapshots   *restore.Place                // the same
	archiver    atomic.Pointer[archive.Archiver]
	restorer    *restore.Restorer
	replaced    atomic.Pointer[founding] // who is told when the whole state is another
	tasks       atomic.Pointer[tasks.Runner]
	audit       *audit.Log
	issuers     *oidc.Client               // asks identity providers; nil where there are none
	box         atomic.Pointer[secret.Box] // of the secrets in the state; nil while the node starts
}

// New makes a node that is not started.
func New(opts Options) (*App, error) {
	if opts.Config == nil {
		return nil, errors.New("app: Config is missing")
	}
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	if opts.Out == nil {
		opts.Out = io.Discard
	}
	a := &App{
		opts:    opts,
		config:  opts.Config,
		level:   &slog.LevelVar{},
		metrics: ops.NewMetrics(opts.Version),
		// One place: only the first reason counts, and who halts must not wait.
		halted:    make(chan error, 1),
		haltGrace: haltGrace,
	}
	a.level.Set(opts.Config.LogLevel)
	a.tail = ops.NewTail(opts.Log, logTail)
	logger, err := ops.NewLogger(ops.LogOptions{
		Writer: a.tail, Format: string(opts.Config.LogFormat), Level: a.level, RequestID: cluster.RequestID,
	})
	if err != nil {
		return nil, err
	}
	a.bare = logger
	a.logger = logger.With(slog.String("node", opts.Config.NodeID))
	return a, nil
}

// Start starts the node and returns when it takes part and lets clients in, or when
// the context ends while that is all it waits for; until there is a leader it is not
// ready. What was started is stopped again where a step fails.
func (a *App) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			stopCtx, cancel := context.WithTimeout(context.Background(), a.haltGrace)
			defer cancel()
			err = errors.Join(err, a.undo.run(stopCtx))
		}
	}()
	steps := []func(context.Context) error{
		// Before anything is read or written: two processes in one folder would
		// destroy it.
		a.openFolder,
		// Closed again when nothing is left that it could tell of.
		a.openAudit,
		// Early, so that a taken port is found before the state is touched, and
		// probes see a live process while a large state is opened.
		a.listen,
		// The state, then the node that applies the log to it.
		a.openState,
		a.joinCluster,
		// What is sealed in the state can be opened before anybody asks for it.
		a.openSecrets,
		// Others remember how far the audit log has come.
		a.publishAudit,
		// The store needs the state, which says where the warehouse is.
		a.openStore,
		// Snapshots of the state go to a store of their own.
		a.keepSnapshots,
		// What changes in between goes there too, and comes back from there.
		a.archiveLog,
		a.restoreBackups,
		// What the protocol serves is complete by then.
		a.serveProtocol,
		// Nobody waits for these, and what stops first was started last: another
		// node goes on with them while requests under way finish here.
		a.workOnTasks,
		// Clients come only now, but where all this takes long.
		a.openDoor,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	a.logger.InfoContext(ctx, "the node has started",
		slog.String("http", a.Addr()), slog.String("version", a.opts.Version), slog.String("data_dir", a.config.DataDir))
	return nil
}

// Addr is the address that HTTP is listened on.
func (a *App) Addr() string { return a.door.Addr().String() }

// URL is where clients on this machine reach the node.
func (a *App) URL() string {
	if a.certificate != nil {
		return "https://" + a.Addr()
	}
	return "http://" + a.Addr()
}

// Halted gives the reason when the node can't go on: it should be stopped then.
func (a *App) Halted() <-chan error { return a.halted }

func (a *App) halt(err error) {
	select {
	case a.halted <- err:
	default:
	}
}

// Ready tells why this node should get no requests now, or nil.
func (a *App) Ready() error {
	if a.draining.Load() {
		return errors.New("this node is draining")
	}
	if err := a.node.Ready(); err != nil {
		return err
	}
	return a.founding.ready()
}

func (a *App) openFolder(context.Context) error {
	f, err := openFolder(a.config.DataDir, a.opts.Version)
	if err != nil {
		return err
	}
	a.folder = f
	a.undo.add("releasing the data folder", func(context.Context) error { return f.close() })
	return f.claim(a.config.NodeID)
}

func (a *App) openState(ctx context.Context) error {
	begun := time.Now()
	machine, err := fsm.Open(fsm.Options{
		Dir:      a.folder.in(stateFolder),
		Logger:   a.logger.With(slog.String("room", "fsm")),
		Halt:     a.halt,
		Restored: a.stateReplaced,
	})
	if err != nil {
		return fmt.Errorf("opening the state: %w", err)
	}
	a.machine = machine
	a.undo.add("closing the state", func(context.Context) error { return machine.Close() })
	index, _ := machine.Applied()
	a.logger.DebugContext(ctx, "the state is open", slog.Uint64("applied_index", index), slog.Duration("took", time.Since(begun)))
	return nil
}

func (a *App) joinCluster(ctx context.Context) error {
	node, err := cluster.Start(ctx, a.clusterOptions(), a.machine)
	if err != nil {
		return fmt.Errorf("joining the cluster: %w", err)
	}
	a.node = node
	a.undo.add("leaving the cluster", a.leaveCluster)
	return nil
}

// leaveCluster ends the cluster's part. What goes wrong there is no failure of a
// stop: leadership was handed over before, what is acknowledged is on disk, and
// the others notice a node's absence by themselves, those too that are being
// stopped at the same time and do not answer any more.
func (a *App) leaveCluster(ctx context.Context) error {
	if err := a.node.Shutdown(ctx); err != nil {
		a.logger.WarnContext(ctx, "this node did not leave the cluster in good order", slog.Any("error", err))
	}
	return nil
}

func (a *App) clusterOptions() cluster.Options {
	c := a.config
	opts := cluster.Options{
		ID:              c.NodeID,
		Dir:             a.folder.in(raftFolder),
		Version:         a.opts.Version,
		Listen:          c.Cluster.Listen,
		Advertise:       c.Cluster.Advertise,
		HTTPAdvertise:   a.httpAdvertise(),
		GossipListen:    c.Gossip.Listen,
		GossipAdvertise: c.Gossip.Advertise,
		GossipKey:       c.GossipKey,
		KeyringFile:     c.KeyringFile(),
		Join:            c.Join,
		BootstrapExpect: c.BootstrapExpect,
		Nonvoter:        c.Nonvoter,
		StabilizeAfter:  c.StabilizeAfter,
		RemoveDeadAfter: c.RemoveDeadAfter,
		VerifyInterval:  c.VerifyInterval,

		SnapshotThreshold: uint64(c.RaftSnapshotThreshold),
		SnapshotInterval:  c.RaftSnapshotInterval,
		TrailingLogs:      uint64(c.RaftTrailingLogs),

		Logger:   a.bare.With(slog.String("room", "cluster")),
		Events:   clusterEvents(a.metrics),
		Halt:     a.halt,
		Services: map[string]cluster.Service{backupService: a.answerBackup, supportService: a.answerSupport, auditService: a.answerAudit, secretService: a.answerSecret},
	}
	if c.BootstrapExpect == 0 {
		opts.BootstrapExpect = cluster.NeverFound
	}
	if t := c.ClusterTLS; t.Given() {
		opts.TLS = &cluster.TLSFiles{CA: t.CAFile, Cert: t.CertFile, Key: t.KeyFile}
	}
	return opts
}

// httpAdvertise is what others tell their clients: the port may have been
// chosen by the system.
func (a *App) httpAdvertise() string {
	if a.config.HTTP.Advertise != "" {
		return a.config.HTTP.Advertise
	}
	return a.Addr()
}

func (a *App) openStore(ctx context.Context) (err error) {
	if a.stores, err = warehouse.NewStores(warehouse.StoresOptions{Latest: a.node.Latest, Proven: a.node.Proven, Config: a.storeConfig(), Secrets: a.box.Load()}); err != nil {
		return err
	}
	a.undo.add("closing the object stores", func(context.Context) error { return a.stores.Close() })
	f, err := newFounding(a)
	if err != nil {
		return err
	}
	a.founding = f
	a.replaced.Store(f)
	// A node that has state knows where the warehouse is, leader or not.
	if err := f.lookLocally(); err != nil {
		return err
	}
	f.start(context.WithoutCancel(ctx))
	a.undo.add("setting up the cluster", func(context.Context) error { f.stop(); return nil })
	return nil
}

// storeConfig is how this node reaches object stores.
func (a *App) storeConfig() storage.Config {
	stores := storeConfig(a.config)
	stores.Observe = storeObserver(a.metrics)
	return stores
}

func storeConfig(c *config.Config) storage.Config {
	return storage.Config{
		S3: storage.S3Config{
			Endpoint:        c.S3.Endpoint,
			Region:          c.S3.Region,
			AccessKeyID:     c.S3.AccessKeyID,
			SecretAccessKey: c.S3.SecretAccessKey,
			PathStyle:       c.S3.PathStyle,
		},
		GCS: storage.GCSConfig{
			Endpoint:        c.GCS.Endpoint,
			CredentialsFile: c.GCS.CredentialsFile,
			NoAuth:          c.GCS.NoAuth,
		},
		Azure: storage.AzureConfig{
			Endpoint:   c.Azure.Endpoint,
			AccountKey: c.Azure.AccountKey,
			SASToken:   c.Azure.SASToken,
		},
	}
}

func (a *App) serveProtocol(context.Context) error {
	cat, err := catalog.New(catalog.Options{
		Log:              &catalogLog{node: a.node},
		Stores:           a.catalogStores,
		Logger:           a.logger.With(slog.String("room", "catalog")),
		NewUUID:          uuid.NewString,
		DefaultWarehouse: a.config.WarehouseName,
		AnswerLifetime:   answerLifetime,
		VerifyMetadata:   a.config.VerifyMetadata,
		Observer:         a.catalogObserver(),
	})
	if err != nil {
		return err
	}
	a.undo.add("closing the catalog", func(context.Context) error { cat.Close(); return nil })
	keys, err := identity.NewKeys(cat, authn.MintKey)
	if err != nil {
		return err
	}
	authenticator, tokens, err := a.authenticator(cat)
	if err != nil {
		return err
	}
	if authenticator, err = a.withTokens(authenticator); err != nil {
		return err
	}
	authenticator = a.withCertificates(authenticator)
	authorizer, err := a.authorizer()
	if err != nil {
		return err
	}
	if err := a.metrics.Watch(a.sources()); err != nil {
		return err
	}
	routes, err := rest.Routes(rest.Options{Catalog: cat, IdempotencyLifetime: answerLifetime})
	if err != nil {
		return err
	}
	policies, err := policy.New(cat, policy.Options{ReadRestrictions: a.config.ReadRestrictions})
	if err != nil {
		return err
	}
	warehouses, err := a.warehouses(cat)
	if err != nil {
		return err
	}
	managed, err := management.Routes(management.Options{
		Catalog: cat, Keys: keys, Policies: policies, Warehouses: warehouses, Backups: a.backups(), Restores: a.restorer,
		Cluster: &operatedCluster{node: a.node, support: support{a}, notes: []func(context.Context) statusNote{a.snapshotNote, a.auditNote, a.secretNote}},
		Audit:   auditedCluster{a.auditTrail(), a},
		Secrets: a.box.Load(),
	})
	if err != nil {
		return err
	}
	described, err := api.Open()
	if err != nil {
		return err
	}
	rates, err := a.rates()
	if err != nil {
		return err
	}
	open := rest.OpenOptions{Rates: rates, AuthFailed: a.metrics.AuthFailure, Audit: a.audit, Logger: a.logger.With(slog.String("room", "api"))}
	if tokens != nil {
		open.Tokens = tokens
	}
	handler, err := serve.New(serve.Options{
		Proxies:        a.proxies(),
		Origins:        a.config.Walls.CORSOrigins,
		Rates:          rates,
		Authenticator:  authenticator,
		Authorizer:     strangerRights{authorizer},
		NodeID:         a.config.NodeID,
		Logger:         a.logger.With(slog.String("room", "api")),
		Events:         apiEvents(a.metrics),
		Ready:          a.Ready,
		Audit:          a.audit,
		Warnings:       func() []string { return slices.Concat(a.snapshotHints(), a.auditHints(), a.secretHints()) },
		Metrics:        a.metrics.Handler(),
		Open:           append(rest.Open(open), described...),
		RequestContext: cluster.WithRequestID,
		Consistency:    catalogConsistency(a.config.ReadConsistency),
		MaxStaleness:   a.config.MaxStaleness,

		ReadRestrictions: a.config.ReadRestrictions,
	}, append(routes, managed...))
	if err != nil {
		return err
	}
	a.handler.open(handler)
	// On top of the stack: requests under way need all that is below.
	a.undo.add("ending HTTP", a.endHTTP)
	return nil
}

// workOnTasks has this node take part in the background jobs.
func (a *App) workOnTasks(context.Context) error {
	runner, err := tasks.New(tasks.Options{
		Log:      taskLog{a.node, a.machine},
		Stores:   func(ctx context.Context, warehouse string) (tasks.Store, error) { return a.stores.Of(ctx, warehouse) },
		Node:     a.config.NodeID,
		Logger:   a.logger.With(slog.String("room", "tasks")),
		Keep:     catalog.TaskKept,
		Observer: taskObserver(a.metrics),
	})
	if err != nil {
		return err
	}
	a.tasks.Store(runner)
	a.undo.add("giving background jobs back", runner.Stop)
	return nil
}

// answerLifetime is how long an Idempotency-Key is remembered: longer than any
// client goes on trying.
const answerLifetime = 30 * time.Minute
