package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"galaxygate/graph/generated"
	"galaxygate/internal/config"
	"galaxygate/internal/devrollup"
	"galaxygate/internal/galaxydiff"
	"galaxygate/internal/httpserver"
	"galaxygate/internal/secret"
)

type galaxyDiff struct {
	URL string `placeholder:"URL" help:"The Galaxy to ask, instead of GALAXY_URL's. It is not sent GALAXY_API_KEY."`
}

// Help implements kong.HelpProvider.
func (galaxyDiff) Help() string {
	return "What schema.graphqls has of Galaxy's queries (GalaxyQuery and the types that are reached from it; GalaxyX is Galaxy's X) " +
		"is held against what the Galaxy of GALAXY_URL tells of itself. That costs one of its requests, and needs no user. " +
		"In development mode it is the embedded Galaxy.\n\n" +
		"Each line of the output is a difference, under the names of schema.graphqls:\n\n" +
		"  missing here:  Galaxy has it, schema.graphqls has not. It follows below as SDL, and wants a description of ours.\n\n" +
		"  missing there: schema.graphqls has it, Galaxy has not, or no longer: queries that ask for it fail.\n\n" +
		"  differs:       both have it, with another type, default or nullability.\n\n" +
		"Galaxy's mutations are not compared: there is no copy of them."
}

// untold is an error because of which a comparison has no result.
type untold struct{ error }

// Unwrap returns the error itself.
func (u untold) Unwrap() error { return u.error }

func (d galaxyDiff) Run(p *program) error {
	theirs, err := d.ask(p)
	if err != nil {
		return untold{err}
	}
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	report := galaxydiff.Compare(schema, theirs)
	if len(report.Lines) == 0 {
		_, err := fmt.Fprintf(p.stdout, "No difference: Galaxy's queries are as schema.graphqls has them, in %d types.\n", report.Types)
		return err
	}
	text := strings.Join(report.Lines, "\n") + "\n"
	if report.Additions != "" {
		text += "\n# To be added to schema.graphqls, each with a description:\n" + report.Additions
	}
	if _, err := fmt.Fprint(p.stdout, text); err != nil {
		return untold{err}
	}
	return errors.New("schema.graphqls and Galaxy's schema differ")
}

// ask asks the Galaxy that the command names, else the configured one, else the
// embedded one.
func (d galaxyDiff) ask(p *program) (galaxydiff.Schema, error) {
	env, names := p.env, []string{"GALAXY_URL", "GALAXY_API_KEY"}
	if d.URL != "" {
		// The key is that of another Galaxy.
		env, names = &config.Environment{Variables: map[string]string{"GALAXY_URL": d.URL}}, names[:1]
	}
	cfg, err := config.LoadOnly(env, names...)
	if err != nil {
		return galaxydiff.Schema{}, err
	}
	if !cfg.Development {
		return galaxydiff.Ask(p.ctx, cfg.GalaxyURL, cfg.GalaxyAPIKey)
	}
	if _, err := fmt.Fprintln(p.stderr, "development mode: the embedded Galaxy"); err != nil {
		return galaxydiff.Schema{}, err
	}
	return askEmbedded(p.ctx)
}

// askEmbedded asks a Galaxy like the one that development mode runs.
func askEmbedded(ctx context.Context) (galaxydiff.Schema, error) {
	galaxy, err := devrollup.NewGalaxy(devrollup.GalaxyConfig{
		APIKey: secret.Random(), ClientID: "development",
		Verify: func(context.Context, string) (devrollup.Identity, error) {
			return devrollup.Identity{}, errors.New("nobody is signed in")
		},
	})
	if err != nil {
		return galaxydiff.Schema{}, fmt.Errorf("embedded galaxy: %w", err)
	}
	listener, err := httpserver.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return galaxydiff.Schema{}, err
	}
	server := &http.Server{Handler: galaxy.Handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // it says that it was closed
	}()
	defer func() {
		_ = server.Close()
		<-served
	}()
	return galaxydiff.Ask(ctx, "http://"+listener.Addr().String()+"/graphql", secret.Text{})
}
