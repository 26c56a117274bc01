package app

import (
	"errors"
	"log/slog"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/internal/config"
)

// reload opens the audit log again and takes over what can change in a running node:
// the log's level and the TLS files. What can't be read stays as it is; the rest is taken over all the same.
func (a *App) reload() {
	// Whoever moved the file away sends the signal for that.
	a.audit.Reopen()
	if a.opts.Reload == nil {
		return
	}
	next, err := a.opts.Reload()
	if err != nil {
		a.logger.Error("the settings could not be read again: nothing has changed", slog.Any("error", err))
		return
	}
	a.level.Set(next.LogLevel)
	if err := errors.Join(a.reloadHTTP(next.TLS), a.reloadCluster(next.ClusterTLS), a.reloadIssuers(next.OIDC.CAFile)); err != nil {
		a.logger.Error("TLS files could not be read again: those in use stay", slog.Any("error", err))
		return
	}
	a.logger.Info("log level and TLS files are read again; other settings need a restart", slog.String("log_level", next.LogLevel.String()))
}

func (a *App) reloadHTTP(files config.Certificate) error {
	if a.certificate == nil || !files.Given() {
		return nil
	}
	return a.certificateRead(a.certificate.reload(files))
}

func (a *App) reloadCluster(files config.Certificate) error {
	if !files.Given() {
		return nil
	}
	// What becomes of it is counted where files that change by themselves are, too.
	return a.node.ReloadCertificates(cluster.TLSFiles{CA: files.CAFile, Cert: files.CertFile, Key: files.KeyFile})
}

// useIssuers is the authorities of identity providers among other certificates.
const useIssuers = "oidc_ca"

func (a *App) reloadIssuers(file string) error {
	if a.issuers == nil || file == "" {
		return nil
	}
	authorities, err := issuerAuthorities(file)
	a.metrics.CertificatesRead(useIssuers, err == nil)
	if err != nil {
		return err
	}
	a.issuers.Trust(authorities)
	return nil
}
