package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"galaxygate/graph"
	"galaxygate/internal/config"
	"galaxygate/internal/persisted"
)

// documentsPoll is how often the file of trusted documents is looked at.
const documentsPoll = 2 * time.Second

// checkDocuments says what is wrong with the file of trusted documents.
func checkDocuments(cfg *config.Config) error {
	if cfg.TrustedDocuments == "" {
		return nil
	}
	_, err := persisted.ReadFile(cfg.TrustedDocuments, nil)
	return documentsProblem(err)
}

// documentsProblem puts all that is wrong with the file into one line.
func documentsProblem(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("TRUSTED_DOCUMENTS: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
}

// printDocuments says which trusted documents the schema does not allow, beneath the
// configuration.
func printDocuments(cfg *config.Config, out io.Writer) error {
	if cfg.TrustedDocuments == "" {
		return nil
	}
	known, err := persisted.ReadFile(cfg.TrustedDocuments, graph.Schema())
	if err != nil {
		return documentsProblem(err)
	}
	for _, invalid := range known.Invalid() {
		if _, err := fmt.Fprintf(out, "# TRUSTED_DOCUMENTS: the schema does not allow %s\n", invalid); err != nil {
			return err
		}
	}
	return nil
}

// loadDocuments returns the trusted documents; nil where any operation may run.
func (g ground) loadDocuments(ctx context.Context) (*persisted.File, error) {
	if g.cfg.TrustedDocuments == "" {
		return nil, nil
	}
	file := &persisted.File{Name: g.cfg.TrustedDocuments, Schema: graph.Schema(), Every: documentsPoll, Logger: g.logger}
	if err := file.Load(ctx); err != nil {
		return nil, documentsProblem(err)
	}
	g.metrics.Gauge("galaxygate_trusted_documents", "Operations that may run, where only known ones may.",
		func() float64 { return float64(file.Manifest().Len()) })
	return file, nil
}
