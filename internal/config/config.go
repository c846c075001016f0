package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"galaxygate/internal/redirect"
	"galaxygate/internal/secret"
)

// Config is the effective configuration.
type Config struct {
	// Development says that no provider is configured, and the embedded one
	// is to be run.
	Development bool

	Addr           string
	AdminAddr      string
	PublicURL      *url.URL // scheme and host alone
	TrustedProxies []netip.Prefix
	DatabaseURL    secret.Text // it may hold a password
	AutoMigrate    bool
	RedisURL       secret.Text // zero: replicas share nothing but the database

	Issuer        string
	ClientID      string
	ClientSecret  secret.Text
	Scopes        []string
	RequireNonce  bool
	AssumedLife   time.Duration // of an access token that does not tell its own
	RefreshLife   time.Duration // of a refresh token likewise; 0: unknown
	RotationGrace time.Duration // for which a replaced refresh token is good; 0: none
	GalaxyURL     string
	GalaxyAPIKey  secret.Text
	// GalaxyCache is for how long an answer of Galaxy's or of userinfo is given
	// to the same user again, GalaxyCacheBytes how much memory answers may take;
	// 0: none is kept.
	GalaxyCache      time.Duration
	GalaxyCacheBytes int64
	GalaxyRate       int           // requests a minute; 0: no limit
	GalaxyWait       time.Duration // for a request's turn where the rate is used up
	Keyset           secret.Text   // as JSON; zero in development until one is generated
	KeysetKMS        string        // the URI of the key that Keyset is wrapped under; empty: it is in clear
	VaultToken       secret.Text   // for the service that KeysetKMS names
	RefreshEarly     time.Duration
	SessionIdle      time.Duration
	SessionLife      time.Duration
	ShutdownGrace    time.Duration
	// OperationTimeout ends a GraphQL operation that takes longer.
	OperationTimeout time.Duration

	SweepInterval    time.Duration
	SweepRate        int           // refreshes a minute; 0: none
	SessionRetention time.Duration // of sessions that have ended
	AuditRetention   time.Duration // 0: for ever

	AllowedOrigins   []string
	AllowedRedirects redirect.Rules
	NativeClients    []string // the client IDs of native apps
	Playground       bool
	Introspection    bool
	// TrustedDocuments is the name of a file of known operations, and nothing else
	// runs; empty: anything may.
	TrustedDocuments string
	MaxDepth         int
	MaxComplexity    int
	MaxTokens        int
	MaxAliases       int
	MaxRootFields    int
	MaxBodyBytes     int64
	HTTPProfile      string // of GraphQL over HTTP: "audited" or "draft"
	RateLimit        int    // requests a minute; 0: no limit
	// MaxStreams is how many WebSocket connections and event streams may be open,
	// of all and of one caller; 0: no limit.
	MaxStreams          int
	MaxStreamsPerCaller int

	LogLevel  slog.Level
	LogFormat string // "text", "json", or "auto"
	Traces    Traces

	variables []variable
}

// Problems are all that is wrong with an environment.
type Problems []error

// Error lists the problems, one a line.
func (p Problems) Error() string { return errors.Join(p...).Error() }

// Unwrap returns the problems.
func (p Problems) Unwrap() []error { return p }

// Load reads and checks the environment, also by the checks that other rooms have.
// Its error is Problems.
func Load(env *Environment, also ...func(*Config) error) (Config, error) {
	production := productionNames(env)
	c := Config{Development: len(production) == 0}
	var problems Problems
	c.variables = table(&c, env)
	for i := range c.variables {
		if err := c.variables[i].read(env); err != nil {
			problems = append(problems, err)
		}
	}
	if c.OperationTimeout > 0 && !c.Given("GALAXY_WAIT") {
		c.GalaxyWait = min(c.GalaxyWait, c.OperationTimeout/2)
	}
	problems = append(problems, c.check(env)...)
	for _, check := range also {
		if err := check(&c); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 && len(production) > 0 {
		problems = append(problems, fmt.Errorf("(this is a production configuration because %s is set; without any of these, galaxygate runs in development mode)",
			strings.Join(production, ", ")))
	}
	if len(problems) > 0 {
		return c, problems
	}
	return c, nil
}

// LoadDatabase reads and checks DATABASE_URL alone, for commands that need
// nothing else. Its error is Problems.
func LoadDatabase(env *Environment) (Config, error) { return LoadOnly(env, "DATABASE_URL") }

// LoadOnly reads and checks the named variables alone. Its error is Problems.
func LoadOnly(env *Environment, names ...string) (Config, error) {
	c := Config{Development: len(productionNames(env)) == 0}
	var problems Problems
	for _, v := range table(&c, env) {
		if !slices.Contains(names, v.name) {
			continue
		}
		if err := v.read(env); err != nil {
			problems = append(problems, err)
		}
		c.variables = append(c.variables, v)
	}
	if len(problems) > 0 {
		return c, problems
	}
	return c, nil
}

// productionNames are the variables that are set and make the configuration a
// production one.
func productionNames(env *Environment) []string {
	var names []string
	for _, name := range []string{"ROLLUP_ISSUER", "ROLLUP_CLIENT_ID", "ROLLUP_CLIENT_SECRET", "GALAXY_URL", "GALAXY_API_KEY"} {
		if env.names(name) {
			names = append(names, name)
		}
	}
	return names
}

// check finds the problems that no variable has alone.
func (c *Config) check(env *Environment) []error {
	var problems []error
	if c.SessionIdle > c.SessionLife {
		problems = append(problems, errors.New("SESSION_IDLE_TIMEOUT: must not be longer than SESSION_LIFETIME"))
	}
	if c.OperationTimeout > 0 && c.GalaxyWait >= c.OperationTimeout {
		problems = append(problems, errors.New("GALAXY_WAIT: must be shorter than OPERATION_TIMEOUT"))
	}
	if env.names("TRUSTED_DOCUMENTS") && !c.Given("TRUSTED_DOCUMENTS") {
		// Ignoring it would run operations that the operator believes are shut out.
		problems = append(problems, errors.New("TRUSTED_DOCUMENTS: is set to nothing: name a file, or unset it"))
	}
	if !c.Development && c.Issuer != "" && strings.HasSuffix(c.Issuer, "/.well-known/openid-configuration") {
		problems = append(problems, errors.New("ROLLUP_ISSUER: must be the issuer itself, without /.well-known/openid-configuration"))
	}
	return problems
}

// SQLite reports whether the database is an embedded one.
func (c *Config) SQLite() bool { return strings.HasPrefix(c.DatabaseURL.Reveal(), "sqlite:") }

// SQLiteFile returns the name of the embedded database's file. A URL with a query
// is for SQLite alone to understand.
func (c *Config) SQLiteFile() (name string, ok bool) {
	name, ok = strings.CutPrefix(c.DatabaseURL.Reveal(), "sqlite://")
	return name, ok && !strings.Contains(name, "?")
}

// Secure reports whether browsers reach the gateway by https.
func (c *Config) Secure() bool { return c.PublicURL.Scheme == "https" }

// Given reports whether the variable was set, rather than left to its default.
func (c *Config) Given(name string) bool {
	for _, v := range c.variables {
		if v.name == name {
			return v.origin != "default" && v.origin != "unset"
		}
	}
	return false
}

// File returns the name of the file that the variable's value was read from,
// where it was given as NAME_FILE.
func (c *Config) File(name string) (file string, ok bool) {
	for _, v := range c.variables {
		if v.name == name {
			return strings.CutPrefix(v.origin, fileOrigin)
		}
	}
	return "", false
}

// Print writes every variable with its effective value, secrets masked, and
// where the value comes from.
func (c *Config) Print(w io.Writer) error {
	mode := "production"
	if c.Development {
		mode = "development: embedded Passport and Galaxy"
	}
	if _, err := fmt.Fprintf(w, "# mode: %s\n", mode); err != nil {
		return err
	}
	for _, v := range c.variables {
		if _, err := fmt.Fprintf(w, "%-*s %-45s # %s\n", longestName(c.variables), v.name, v.show(), v.origin); err != nil {
			return err
		}
	}
	return nil
}

// Describe writes every variable with its default and its meaning, for --help.
func Describe(w io.Writer) error {
	c := Config{Development: true}
	variables := table(&c, &Environment{})
	for _, v := range variables {
		line := v.help
		if v.fallback != "" {
			line += " (default " + v.fallback + ")"
		}
		if _, err := fmt.Fprintf(w, "  %-*s %s\n", longestName(variables), v.name, line); err != nil {
			return err
		}
	}
	return nil
}

// longestName is how wide the column of the variables' names is.
func longestName(variables []variable) int {
	width := 0
	for _, v := range variables {
		width = max(width, len(v.name))
	}
	return width
}
