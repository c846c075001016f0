package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"galaxygate/internal/config"
	"galaxygate/internal/devrollup"
	"galaxygate/internal/httpserver"
	"galaxygate/internal/secret"
)

const (
	developmentDir = ".galaxygate"
	// developmentKeyset is where the keyset is kept between runs.
	developmentKeyset = developmentDir + "/keyset.json"
	// providerAddress is where the embedded provider is by preference, so that
	// its users stay the same ones from run to run.
	providerAddress = "127.0.0.1:8081"
	// providerFile is where the embedded provider is kept between runs.
	providerFile = developmentDir + "/provider.json"
)

// embedded is Passport and Galaxy inside this process.
type embedded struct {
	url    string
	rollup *devrollup.Server
	server *http.Server
	logger *slog.Logger
}

// develop runs an embedded Passport and Galaxy and completes cfg with them and
// with the public address, and makes a keyset that is kept between runs.
func develop(ctx context.Context, cfg *config.Config, public net.Addr, logger *slog.Logger) (*embedded, error) {
	if !cfg.Given("PUBLIC_URL") {
		_, port, err := net.SplitHostPort(public.String())
		if err != nil {
			return nil, fmt.Errorf("public address: %w", err)
		}
		cfg.PublicURL = &url.URL{Scheme: "http", Host: net.JoinHostPort("localhost", port)}
	}
	if cfg.Keyset.IsZero() {
		if err := makeKeyset(ctx, cfg); err != nil {
			return nil, err
		}
	}
	listener, err := httpserver.Listen(ctx, providerAddress)
	if err != nil {
		if listener, err = httpserver.Listen(ctx, "127.0.0.1:0"); err != nil {
			return nil, err
		}
	}
	e := &embedded{url: "http://" + listener.Addr().String(), logger: logger}
	cfg.Issuer, cfg.GalaxyURL = e.url, e.url+"/graphql"
	cfg.ClientID, cfg.ClientSecret, cfg.GalaxyAPIKey = "development", secret.Random(), secret.Random()
	e.rollup, err = devrollup.New(devrollup.Config{
		Issuer:       e.url,
		ClientID:     cfg.ClientID,
		ClientSecret: cfg.ClientSecret,
		APIKey:       cfg.GalaxyAPIKey,
		RedirectURIs: []string{cfg.PublicURL.JoinPath("/auth/callback").String()},
		AppName:      "galaxygate",
		Now:          time.Now,
	})
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("embedded provider: %w", err)
	}
	if err := e.restore(); err != nil {
		_ = listener.Close()
		return nil, err
	}
	e.server = &http.Server{Handler: e.rollup.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := e.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.ErrorContext(ctx, "embedded provider stopped", "error", err)
		}
	}()
	return e, nil
}

// Close ends the embedded provider, and keeps what it knows for the next run: the
// gateway's database still holds its tokens then.
func (e *embedded) Close(ctx context.Context) {
	_ = e.server.Close()
	var kept bytes.Buffer
	err := e.rollup.Save(&kept)
	if err == nil {
		err = os.MkdirAll(developmentDir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(providerFile, kept.Bytes(), 0o600)
	}
	if err != nil {
		e.logger.ErrorContext(ctx, "embedded provider not saved", "error", err)
	}
}

// restore loads what an earlier run has kept, where there is anything.
func (e *embedded) restore() error {
	file, err := os.Open(providerFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer file.Close()
		err = e.rollup.Load(file)
	}
	if err != nil {
		return fmt.Errorf("embedded provider: %w (remove %s to begin anew)", err, developmentDir)
	}
	return nil
}

// announce tells a person where everything is.
func (e *embedded) announce(w io.Writer, cfg *config.Config) error {
	_, err := fmt.Fprintf(w, `
  galaxygate is in DEVELOPMENT MODE. Never use it for real people:
  whoever reaches the embedded provider signs in as anyone.

    open      %s  and sign in as Alice or Bob
    provider  %s/dev/  people, switches, counters
    data      %s/  remove it to begin anew

`, cfg.PublicURL, e.url, developmentDir)
	return err
}

// makeKeyset makes the keyset of the first run.
func makeKeyset(ctx context.Context, cfg *config.Config) error {
	if _, err := os.Stat(developmentKeyset); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(developmentDir, 0o700); err != nil {
		return fmt.Errorf("create %s: %w", developmentDir, err)
	}
	var text bytes.Buffer
	if err := printNewKeyset(ctx, cfg, &text); err != nil {
		return err
	}
	if err := os.WriteFile(developmentKeyset, text.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write keyset: %w", err)
	}
	return nil
}
