package config_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/config"
)

// production is a complete production environment.
func production() map[string]string {
	return map[string]string{
		"ROLLUP_ISSUER":        "https://passport.rollup.id",
		"ROLLUP_CLIENT_ID":     "client",
		"ROLLUP_CLIENT_SECRET": "hush-client",
		"GALAXY_API_KEY":       "hush-galaxy",
		"DATABASE_URL":         "postgres://gate:hush-database@db.example.com/gate?sslmode=require",
		"TOKEN_KEYSET":         `{"hush":"keyset"}`,
		"PUBLIC_URL":           "https://gate.example.com",
	}
}

func load(t *testing.T, env map[string]string) (config.Config, error) {
	t.Helper()
	files := map[string]string{"/run/secrets/key": "hush-file\n"}
	return config.Load(&config.Environment{Variables: env, ReadFile: func(name string) ([]byte, error) {
		content, ok := files[name]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return []byte(content), nil
	}})
}

func TestNothingSetIsDevelopment(t *testing.T) {
	t.Parallel()
	c, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Development || !c.SQLite() || !c.AutoMigrate || !c.Playground || !c.Introspection || c.RequireNonce || c.Secure() {
		t.Errorf("got %+v", c)
	}
	if c.Addr != "127.0.0.1:8080" || c.PublicURL.String() != "http://localhost:8080" || c.SessionIdle != 168*time.Hour {
		t.Errorf("got %q, %v, %v", c.Addr, c.PublicURL, c.SessionIdle)
	}
}

func TestDevelopmentNeverStartsByAccident(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"ROLLUP_ISSUER", "ROLLUP_CLIENT_ID", "ROLLUP_CLIENT_SECRET", "GALAXY_URL", "GALAXY_API_KEY",
		"ROLLUP_ISSUER_FILE", "ROLLUP_CLIENT_SECRET_FILE", "GALAXY_API_KEY_FILE",
	} {
		t.Run(name+" empty", func(t *testing.T) {
			t.Parallel()
			c, err := load(t, map[string]string{name: ""})
			if err == nil || c.Development {
				t.Fatalf("got development %v, error %v", c.Development, err)
			}
			for _, missing := range []string{"ROLLUP_ISSUER", "ROLLUP_CLIENT_ID", "ROLLUP_CLIENT_SECRET", "GALAXY_API_KEY", "DATABASE_URL", "TOKEN_KEYSET"} {
				if !strings.Contains(err.Error(), missing+": is required") {
					t.Errorf("%s is not said to be missing in:\n%v", missing, err)
				}
			}
		})
	}
}

func TestProductionDefaults(t *testing.T) {
	t.Parallel()
	c, err := load(t, production())
	if err != nil {
		t.Fatal(err)
	}
	if c.Development || c.Playground || c.Introspection || c.AutoMigrate || c.RequireNonce || !c.Secure() {
		t.Errorf("got %+v", c)
	}
	if c.Addr != ":8080" || c.GalaxyURL != "https://galaxy.rollup.id/graphql" {
		t.Errorf("got %q, %q", c.Addr, c.GalaxyURL)
	}
	if c.RefreshLife != 2160*time.Hour || c.AuditRetention != 8760*time.Hour || c.RotationGrace != 0 {
		t.Errorf("got %v, %v, %v", c.RefreshLife, c.AuditRetention, c.RotationGrace)
	}
	env := production()
	env["ROLLUP_ISSUER"] = "https://id.example.com"
	env["AUDIT_RETENTION"], env["ROTATION_GRACE"] = "0", "30s"
	if c, err = load(t, env); err != nil || !c.RequireNonce || c.RefreshLife != 0 {
		t.Errorf("a standard provider: got nonce required %v, refresh tokens of %v, error %v", c.RequireNonce, c.RefreshLife, err)
	}
	if c.AuditRetention != 0 || c.RotationGrace != 30*time.Second {
		t.Errorf("got %v, %v", c.AuditRetention, c.RotationGrace)
	}
}

func TestThePublicURLIsAnOriginAsBrowsersWriteIt(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"https://Gate.example.com/": "https://gate.example.com", "https://gate.example.com:443": "https://gate.example.com",
		"https://gate.example.com:": "https://gate.example.com", "https://gate.example.com:80": "https://gate.example.com:80",
		"http://localhost:80": "http://localhost", "http://[::1]:8080": "http://[::1]:8080", "http://[::1]:80/": "http://[::1]",
	} {
		if c, err := load(t, map[string]string{"PUBLIC_URL": given}); err != nil || c.PublicURL.String() != want {
			t.Errorf("%s: got %v, %v, want %s", given, c.PublicURL, err, want)
		}
	}
}

func TestTheClientsThatAreNativeApps(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]string{"": {"native"}, "com.example.app, cli": {"com.example.app", "cli"}, ",": nil} {
		c, err := load(t, map[string]string{"NATIVE_CLIENT_IDS": value})
		if err != nil || !slices.Equal(c.NativeClients, want) {
			t.Errorf("%q: got %q, %v, want %q", value, c.NativeClients, err, want)
		}
	}
	if _, err := load(t, map[string]string{"NATIVE_CLIENT_IDS": "an app"}); err == nil {
		t.Error("a name with a space: got no error")
	}
}

func TestWhatGalaxyIsAskedIsBounded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		env  map[string]string
		want int
	}{
		{"development", nil, 0},
		{"the hosted Galaxy, by default", production(), 10},
		{"the hosted Galaxy", map[string]string{"GALAXY_URL": "https://galaxy.rollup.id:443/graphql"}, 10},
		{"another Galaxy", map[string]string{"GALAXY_URL": "https://galaxy.rollup.id.example.com/graphql"}, 0},
		{"another bound", map[string]string{"GALAXY_RATE": "25"}, 25},
		{"none", map[string]string{"GALAXY_RATE": "0"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := tt.env
			if env != nil {
				env = production()
				maps.Copy(env, tt.env)
			}
			c, err := load(t, env)
			if err != nil || c.GalaxyRate != tt.want {
				t.Errorf("rate: got %d, %v, want %d", c.GalaxyRate, err, tt.want)
			}
			if c.GalaxyCache != 10*time.Second || c.GalaxyCacheBytes != 64<<20 || c.GalaxyWait != 7*time.Second {
				t.Errorf("got %v, %d, %v", c.GalaxyCache, c.GalaxyCacheBytes, c.GalaxyWait)
			}
		})
	}
	env := production()
	env["GALAXY_CACHE"], env["GALAXY_CACHE_BYTES"], env["GALAXY_WAIT"] = "0", "1024", "500ms"
	c, err := load(t, env)
	if err != nil || c.GalaxyCache != 0 || c.GalaxyCacheBytes != 1024 || c.GalaxyWait != 500*time.Millisecond {
		t.Errorf("got %v, %d, %v, %v", c.GalaxyCache, c.GalaxyCacheBytes, c.GalaxyWait, err)
	}
	env = production()
	env["OPERATION_TIMEOUT"] = "5s" // which was enough before there was a wait
	if c, err := load(t, env); err != nil || c.GalaxyWait != 2500*time.Millisecond {
		t.Errorf("wait: got %v, %v, want half of the operation's time", c.GalaxyWait, err)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		env  map[string]string
		want string
	}{
		{"issuer without TLS", map[string]string{"ROLLUP_ISSUER": "http://id.example.com"}, "ROLLUP_ISSUER: must be an https URL"},
		{"issuer as discovery document", map[string]string{"ROLLUP_ISSUER": "https://id.example.com/.well-known/openid-configuration"}, "ROLLUP_ISSUER: must be the issuer itself"},
		{"public URL with a path", map[string]string{"PUBLIC_URL": "https://gate.example.com/x"}, "PUBLIC_URL: must be scheme and host alone"},
		{"public URL without TLS", map[string]string{"PUBLIC_URL": "http://gate.example.com"}, "PUBLIC_URL: must be an https URL"},
		{"unknown database", map[string]string{"DATABASE_URL": "mysql://x"}, "DATABASE_URL: must begin with"},
		{"proxy that is no CIDR", map[string]string{"TRUSTED_PROXIES": "10.0.0.0/8,proxy"}, `TRUSTED_PROXIES: "proxy": must be a CIDR`},
		{"origin with a path", map[string]string{"ALLOWED_ORIGINS": "https://app.example.com/"}, "ALLOWED_ORIGINS: "},
		{"any origin", map[string]string{"ALLOWED_ORIGINS": "*"}, "ALLOWED_ORIGINS: "},
		{"any redirect", map[string]string{"ALLOWED_REDIRECTS": "*"}, "ALLOWED_REDIRECTS: "},
		{"duration without unit", map[string]string{"REFRESH_EARLY": "60"}, "REFRESH_EARLY: must be a positive duration"},
		{"cache below nothing", map[string]string{"GALAXY_CACHE": "-1s"}, "GALAXY_CACHE: must be 0 or a positive duration"},
		{"cache of half a byte", map[string]string{"GALAXY_CACHE_BYTES": "0.5"}, "GALAXY_CACHE_BYTES: must be a whole number"},
		{"rate below nothing", map[string]string{"GALAXY_RATE": "-1"}, "GALAXY_RATE: must be a whole number"},
		{"turn that comes too late", map[string]string{"GALAXY_WAIT": "30s"}, "GALAXY_WAIT: must be shorter than OPERATION_TIMEOUT"},
		{"operation that ends before its turn", map[string]string{"OPERATION_TIMEOUT": "7s", "GALAXY_WAIT": "7s"}, "GALAXY_WAIT: must be shorter than OPERATION_TIMEOUT"},
		{"grace below nothing", map[string]string{"ROTATION_GRACE": "-1s"}, "ROTATION_GRACE: must be 0 or a positive duration"},
		{"idle longer than life", map[string]string{"SESSION_IDLE_TIMEOUT": "48h", "SESSION_LIFETIME": "24h"}, "SESSION_IDLE_TIMEOUT: must not be longer"},
		{"negative limit", map[string]string{"MAX_QUERY_DEPTH": "-1"}, "MAX_QUERY_DEPTH: must be a whole number"},
		{"boolean", map[string]string{"PLAYGROUND": "maybe"}, "PLAYGROUND: must be true or false"},
		{"log level", map[string]string{"LOG_LEVEL": "loud"}, "LOG_LEVEL: must be debug"},
		{"log format", map[string]string{"LOG_FORMAT": "xml"}, "LOG_FORMAT: must be one of"},
		{"value and file", map[string]string{"GALAXY_API_KEY_FILE": "/run/secrets/key"}, "GALAXY_API_KEY: set either it or GALAXY_API_KEY_FILE"},
		{"missing file", map[string]string{"GALAXY_API_KEY": "", "GALAXY_API_KEY_FILE": "/none"}, "GALAXY_API_KEY_FILE: open /none"},
		{"trusted documents that are nowhere", map[string]string{"TRUSTED_DOCUMENTS": ""}, "TRUSTED_DOCUMENTS: is set to nothing"},
		{"trusted documents in the environment", map[string]string{"TRUSTED_DOCUMENTS": `{"hush":"{viewer{id}}"}`}, "TRUSTED_DOCUMENTS: must be the name of a file"},
		{"wrapped keyset without a token", map[string]string{"TOKEN_KEYSET_KMS_URI": "hcvault://vault.example.com/transit/keys/x"}, "VAULT_TOKEN: is required"},
		{"exporter of traces", map[string]string{"OTEL_TRACES_EXPORTER": "otlp,zipkin"}, "OTEL_TRACES_EXPORTER: must be otlp, console or none"},
		{"collector with a password", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://alice:hush@collector"}, "OTEL_EXPORTER_OTLP_ENDPOINT: must be an http or https URL without user"},
		{"collector without a scheme", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "collector:4317"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: must be an http"},
		{"collector's headers", map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "api-key: hush"}, "OTEL_EXPORTER_OTLP_HEADERS: must be name=value"},
		{"protocol", map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "udp"}, "OTEL_EXPORTER_OTLP_PROTOCOL: must be one of"},
		{"more traces than there are", map[string]string{"OTEL_TRACES_SAMPLER_ARG": "2"}, "OTEL_TRACES_SAMPLER_ARG: must be a number"},
		{"no number of traces", map[string]string{"OTEL_TRACES_SAMPLER_ARG": "NaN"}, "OTEL_TRACES_SAMPLER_ARG: must be a number"},
		{"address", map[string]string{"ADDR": "8080"}, "ADDR: must be host:port"},
	}
	all := production()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := production()
			for name, value := range tt.env {
				env[name] = value
			}
			_, err := load(t, env)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("the problem shows a secret: %v", err)
			}
		})
	}
	all["LOG_FORMAT"], all["PLAYGROUND"], all["PUBLIC_URL"] = "xml", "maybe", "gate"
	_, err := load(t, all)
	var problems config.Problems
	if !errors.As(err, &problems) || len(problems) != 4 {
		t.Errorf("got %v, want three problems at once, and why it is production", err)
	}
}

func TestFilesAndDotEnv(t *testing.T) {
	t.Parallel()
	env := production()
	delete(env, "GALAXY_API_KEY")
	env["GALAXY_API_KEY_FILE"] = "/run/secrets/key"
	c, err := load(t, env)
	if err != nil || c.GalaxyAPIKey.Reveal() != "hush-file" {
		t.Errorf("got %q, %v", c.GalaxyAPIKey.Reveal(), err)
	}
	if name, ok := c.File("GALAXY_API_KEY"); !ok || name != "/run/secrets/key" {
		t.Errorf("File: got %q, %v", name, ok)
	}
	if name, ok := c.File("TOKEN_KEYSET"); ok {
		t.Errorf("File of a value: got %q", name)
	}
	c, err = config.Load(&config.Environment{
		Variables: map[string]string{"LOG_LEVEL": "debug"},
		DotEnv:    map[string]string{"LOG_LEVEL": "error", "LOG_FORMAT": "json"},
	})
	if err != nil || c.LogLevel.String() != "DEBUG" || c.LogFormat != "json" {
		t.Errorf("the environment goes before .env: got %v, %q, %v", c.LogLevel, c.LogFormat, err)
	}
}

func TestOnlyWhatIsNeededIsRead(t *testing.T) {
	t.Parallel()
	env := &config.Environment{Variables: map[string]string{"ROLLUP_ISSUER": "not a URL", "DATABASE_URL": "sqlite://x", "TOKEN_KEYSET": "keys"}}
	c, err := config.LoadOnly(env, "DATABASE_URL", "TOKEN_KEYSET")
	if err != nil || c.Keyset.Reveal() != "keys" || c.DatabaseURL.Reveal() != "sqlite://x" || c.Issuer != "" {
		t.Errorf("got %+v, %v", c, err)
	}
	env.Variables["DATABASE_URL"], env.Variables["TOKEN_KEYSET"] = "mysql://x", ""
	_, err = config.LoadOnly(env, "DATABASE_URL", "TOKEN_KEYSET")
	var problems config.Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Errorf("got %v, want both problems", err)
	}
}

func TestPrintMasksSecrets(t *testing.T) {
	t.Parallel()
	env := production()
	env["REDIS_URL"] = "redis://:hush-redis@localhost"
	env["OTEL_EXPORTER_OTLP_HEADERS"] = "authorization=Bearer%20hush-collector"
	c, err := load(t, env)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hush") {
		t.Errorf("a secret is shown:\n%s", out.String())
	}
	for _, want := range []string{"postgres://gate:***@db.example.com", "\nROLLUP_CLIENT_SECRET               ***", "# mode: production", "# environment", "# default", "\nREDIS_URL                          ***"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
}

func TestTracesAreExportedWhereTheEnvironmentAsksForThem(t *testing.T) {
	t.Parallel()
	const collector = "http://collector:4318"
	tests := []struct {
		name string
		env  map[string]string
		want string
	}{
		{"nothing", nil, ""},
		{"an endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector}, "otlp"},
		{"an endpoint for traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector + "/v1/traces"}, "otlp"},
		{"an exporter", map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, "otlp"},
		{"two exporters", map[string]string{"OTEL_TRACES_EXPORTER": "otlp, console,otlp"}, "console otlp"},
		{"no exporter", map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": collector}, ""},
		{"disabled", map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": collector}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := load(t, tt.env)
			if got := strings.Join(c.Traces.Exporters(), " "); err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
	c, err := load(t, map[string]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json", "OTEL_PROPAGATORS": "tracecontext,baggage,b3",
		"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20c, d = e",
	})
	if err != nil || c.Traces.Protocol() != "http/json" || !c.Traces.Propagated() {
		t.Errorf("got %q, %v, %v", c.Traces.Protocol(), c.Traces.Propagated(), err)
	}
	var secrets []string
	for _, one := range c.Traces.Secrets() {
		secrets = append(secrets, one.Reveal())
	}
	if got := strings.Join(secrets, "|"); got != "Bearer%20c|Bearer c|c|e|e|" {
		t.Errorf("got the secrets %q", got)
	}
}

// TestVariablesOfLibrariesAreExported is not parallel: it changes the environment.
func TestVariablesOfLibrariesAreExported(t *testing.T) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_BSP_SCHEDULE_DELAY", "OTEL_SERVICE_NAME"} {
		t.Setenv(name, "as it was") // and is again afterwards
	}
	env := &config.Environment{
		Variables: map[string]string{"OTEL_EXPORTER_OTLP_HEADERS_FILE": "/run/secrets/headers", "OTEL_SERVICE_NAME": "as it was"},
		DotEnv:    map[string]string{"OTEL_BSP_SCHEDULE_DELAY": "17", "OTEL_SERVICE_NAME": "another", "PATH": "nowhere"},
		ReadFile:  func(string) ([]byte, error) { return []byte("a=b\n"), nil },
	}
	if err := new(config.Traces).Export(env); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"OTEL_EXPORTER_OTLP_HEADERS": "a=b", "OTEL_BSP_SCHEDULE_DELAY": "17", "OTEL_SERVICE_NAME": "as it was",
	} {
		if got := os.Getenv(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if os.Getenv("PATH") == "nowhere" {
		t.Error("what is not OpenTelemetry's is exported too")
	}
}

func TestTheManualNamesEveryVariable(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	named := 0
	for line := range strings.Lines(out.String()) {
		name, _, _ := strings.Cut(line, " ")
		if name == "#" {
			continue
		}
		named++
		if !strings.Contains(string(manual), "`"+name+"`") {
			t.Errorf("%s is not in docs/operations.md", name)
		}
	}
	if named < 25 {
		t.Errorf("looked at %d variables only", named)
	}
}

func TestDescribeNamesEveryVariable(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := config.Describe(&out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ADDR", "PUBLIC_URL", "TOKEN_KEYSET", "RATE_LIMIT", "LOG_FORMAT"} {
		if !strings.Contains(out.String(), name) {
			t.Errorf("%s is missing", name)
		}
	}
}

// TestNoProblemQuotesAPassword gives one to variables whose values are shown, for they
// hold none.
func TestNoProblemQuotesAPassword(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ALLOWED_ORIGINS", "ALLOWED_REDIRECTS"} {
		_, err := load(t, map[string]string{name: "https://app.example,https://user:hush@app.example/*"})
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
