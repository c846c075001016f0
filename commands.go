// Command galaxygate serves a GraphQL API as the user, and keeps the user's
// tokens so that clients need not.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"galaxygate/internal/config"
	"galaxygate/internal/store"
)

// commands are the command line.
type commands struct {
	Serve   serveCommand `cmd:"" default:"1" help:"Serve the gateway. This is the default."`
	Migrate struct {
		Up     migrateUp     `cmd:"" help:"Apply the migrations that are pending."`
		Status migrateStatus `cmd:"" help:"List the migrations and whether they are applied."`
	} `cmd:"" help:"Look after the database's schema."`
	Keys   keysCommands `cmd:"" help:"Look after the keys that seal tokens."`
	Galaxy struct {
		Diff galaxyDiff `cmd:"" help:"Compare the copy of Galaxy's schema with Galaxy's own; exit 1 where they differ, 2 where that cannot be told."`
	} `cmd:"" help:"Look after what is known of Galaxy."`
	Version kong.VersionFlag `help:"Print the version."`

	Config configCommand `cmd:"" help:"Print the effective configuration, secrets masked; exit 1 with every problem where it is invalid."`
}

// program is what every command may use.
type program struct {
	ctx    context.Context //nolint:containedctx // the life of the process
	env    *config.Environment
	stdout io.Writer
	stderr io.Writer
}

func main() {
	// A second signal does not end the process sooner: a refresh may be under
	// way, whose successor token exists nowhere else.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run runs the command line and returns the exit status: 0 done, 1 it did not
// work out, 2 it was not understood; or as the command's own help says.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var settings strings.Builder
	if err := config.Describe(&settings); err != nil {
		_, _ = fmt.Fprintln(stderr, "galaxygate:", err)
		return 1
	}
	exited, status := false, 0
	parser, err := kong.New(&commands{},
		kong.Name("galaxygate"),
		kong.Description("A GraphQL gateway that keeps your users' tokens.\n\n"+
			"It is configured by its environment, and by a .env file where there is one. "+
			"With nothing set it runs in development mode, everything embedded."),
		kong.Writers(stdout, stderr),
		kong.Vars{"version": "galaxygate " + version()},
		kong.Exit(func(code int) { exited, status = true, code }),
		kong.Help(func(options kong.HelpOptions, kctx *kong.Context) error {
			if err := kong.DefaultHelpPrinter(options, kctx); err != nil || kctx.Selected() != nil {
				return err
			}
			_, err := fmt.Fprintf(stdout, "\nEnvironment (each also as NAME_FILE, a file that holds the value):\n%s", settings.String())
			return err
		}),
	)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "galaxygate:", err)
		return 1
	}
	parsed, err := parser.Parse(args)
	if exited {
		return status
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "galaxygate: %v\nTry: galaxygate --help\n", err)
		return 2
	}
	env, err := config.System()
	if err == nil {
		err = parsed.Run(&program{ctx: ctx, env: env, stdout: stdout, stderr: stderr})
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "galaxygate:", err)
		if errors.As(err, &untold{}) {
			return 2
		}
		return 1
	}
	return 0
}

// version is that of the module, or else the commit that the binary was built
// from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && strings.HasPrefix(info.Main.Version, "(") {
			return setting.Value
		}
	}
	return info.Main.Version
}

type serveCommand struct{}

func (serveCommand) Run(p *program) error {
	cfg, err := p.config()
	if err != nil {
		return err
	}
	if err := cfg.Traces.Export(p.env); err != nil {
		return err
	}
	return serve(p.ctx, cfg, p.stdout, p.stderr)
}

type migrateUp struct{}

func (migrateUp) Run(p *program) error {
	return p.withStore(func(db *store.DB) error {
		if err := db.Migrate(p.ctx); err != nil {
			return err
		}
		_, err := fmt.Fprintln(p.stdout, "The database's schema is up to date.")
		return err
	})
}

type migrateStatus struct{}

func (migrateStatus) Run(p *program) error {
	return p.withStore(func(db *store.DB) error {
		migrations, err := db.MigrationStatus(p.ctx)
		if err != nil {
			return err
		}
		for _, m := range migrations {
			applied := "pending"
			if !m.AppliedAt.IsZero() {
				applied = "applied " + m.AppliedAt.UTC().Format("2006-01-02 15:04:05Z")
			}
			if _, err := fmt.Fprintf(p.stdout, "%5d  %-40s %s\n", m.Version, m.Name, applied); err != nil {
				return err
			}
		}
		return nil
	})
}

type configCommand struct{}

func (configCommand) Run(p *program) error {
	cfg, err := p.config()
	if err != nil {
		return err
	}
	if err := cfg.Print(p.stdout); err != nil {
		return err
	}
	return printDocuments(&cfg, p.stdout)
}

// config reads the configuration; its error lists every problem.
func (p *program) config() (config.Config, error) {
	cfg, err := config.Load(p.env, func(cfg *config.Config) error { return checkKeyset(p.ctx, cfg) }, checkRedis, checkDocuments)
	if err != nil {
		return cfg, fmt.Errorf("the configuration is not valid:\n%w", err)
	}
	return cfg, nil
}

// withStore runs do on the database, for commands that need no keyset.
func (p *program) withStore(do func(*store.DB) error) error {
	cfg, err := config.LoadDatabase(p.env)
	if err != nil {
		return err
	}
	db, err := p.open(&cfg, true)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return do(db)
}

// open opens the database for a command, and says which one it is where nothing
// names it. A file is made only where the command is to create it.
func (p *program) open(cfg *config.Config, create bool) (*store.DB, error) {
	name, isFile := cfg.SQLiteFile()
	if !cfg.Given("DATABASE_URL") {
		if _, err := fmt.Fprintln(p.stderr, "development mode:", name); err != nil {
			return nil, err
		}
	}
	if isFile && !create {
		if _, err := os.Stat(name); err != nil {
			return nil, fmt.Errorf("look for the database: %w", err)
		}
	}
	return store.Open(cfg.DatabaseURL.Reveal(), nil, slog.New(slog.DiscardHandler))
}
