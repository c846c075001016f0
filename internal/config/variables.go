package config

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"galaxygate/internal/secret"
)

// variable is one name of the environment.
type variable struct {
	name     string
	help     string
	fallback string // the value where none is given, in the variable's own syntax
	required bool
	parse    func(text string) error // sets the field; its error says what is expected
	show     func() string
	origin   string
}

func (v *variable) read(env *Environment) error {
	text, origin, err := env.value(v.name)
	if err != nil {
		return err
	}
	v.origin = origin
	if text == "" {
		text, v.origin = v.fallback, "default"
	}
	if text == "" {
		if v.required {
			return fmt.Errorf("%s: is required: %s", v.name, v.help)
		}
		v.origin = "unset"
		return nil
	}
	if err := v.parse(text); err != nil {
		return fmt.Errorf("%s: %w", v.name, err)
	}
	return nil
}

// table is every variable, bound to c's fields, in the order in which they are
// printed.
func table(c *Config, env *Environment) []variable {
	dev := c.Development
	production := !dev
	nonce := production && !hostedRollup(env)
	galaxyURL := pick(dev, "", hostedGalaxy)
	refreshLife := pick(hostedRollup(env), "2160h", "0")
	return append([]variable{
		text("ADDR", "public listener, host:port", pick(dev, "127.0.0.1:8080", ":8080"), &c.Addr, address),
		text("ADMIN_ADDR", "private listener: metrics, health, profiles", "127.0.0.1:9090", &c.AdminAddr, address),
		{
			name: "PUBLIC_URL", help: "the address that browsers use", fallback: "http://localhost:8080",
			parse: func(s string) (err error) { c.PublicURL, err = origin(s); return err },
			show:  func() string { return fmt.Sprint(c.PublicURL) },
		},
		list("TRUSTED_PROXIES", "CIDRs whose X-Forwarded-For is believed", &c.TrustedProxies, netip.ParsePrefix, "a CIDR such as 10.0.0.0/8"),
		{
			name: "DATABASE_URL", help: "postgres://… or sqlite://path", required: true,
			fallback: pick(dev, "sqlite://.galaxygate/galaxygate.db", ""),
			parse:    func(s string) error { return database(s, &c.DatabaseURL) },
			show:     func() string { return redacted(c.DatabaseURL) },
		},
		automatic("AUTO_MIGRATE", "migrate the database at start; auto: only SQLite", func() bool { return c.SQLite() }, &c.AutoMigrate),
		hidden("REDIS_URL", "redis://…, rediss://… or unix://path: what replicas share for speed", &c.RedisURL),
		text("ROLLUP_ISSUER", "the OpenID Provider, e.g. https://passport.rollup.id", "", &c.Issuer, secureURL).require(production),
		text("ROLLUP_CLIENT_ID", "the application's client ID at the provider", "", &c.ClientID, nil).require(production),
		hidden("ROLLUP_CLIENT_SECRET", "the application's client secret at the provider", &c.ClientSecret).require(production),
		{
			name: "ROLLUP_SCOPES", help: "scopes asked for at sign-in", fallback: "openid profile email connected_accounts",
			parse: func(s string) error { return scopes(s, &c.Scopes) },
			show:  func() string { return strings.Join(c.Scopes, " ") },
		},
		automatic("ROLLUP_REQUIRE_NONCE", "refuse an ID token without nonce; auto: but for *.rollup.id, and in development", func() bool { return nonce }, &c.RequireNonce),
		duration("ROLLUP_ASSUMED_TOKEN_LIFE", "the life of an access token that does not tell its own", "5m", &c.AssumedLife),
		durationOrNone("REFRESH_TOKEN_LIFE", "the life of a refresh token that does not tell its own (*.rollup.id: 2160h); 0: unknown", refreshLife, &c.RefreshLife),
		durationOrNone("ROTATION_GRACE", "for how long the provider takes a replaced refresh token once more; 0: not at all", "0", &c.RotationGrace),
		text("GALAXY_URL", "Galaxy's GraphQL endpoint", galaxyURL, &c.GalaxyURL, secureURL),
		hidden("GALAXY_API_KEY", "the application's key for Galaxy", &c.GalaxyAPIKey).require(production),
		durationOrNone("GALAXY_CACHE", "for how long an answer of Galaxy's or of userinfo is given to the same user again; 0: it is not", "10s", &c.GalaxyCache),
		number("GALAXY_CACHE_BYTES", "how much memory such answers may take; 0: none", 64<<20, &c.GalaxyCacheBytes),
		number("GALAXY_RATE", "requests a minute to Galaxy (galaxy.rollup.id: 10); 0: no limit", galaxyRate(env, galaxyURL), &c.GalaxyRate),
		durationOrNone("GALAXY_WAIT", "how long a request may wait for its turn where the rate is used up; at most half of OPERATION_TIMEOUT where it is not given", "7s", &c.GalaxyWait),
		hidden("TOKEN_KEYSET", "the keyset that seals tokens: galaxygate keys new", &c.Keyset).require(production),
		text("TOKEN_KEYSET_KMS_URI", "the key that the keyset is wrapped under, e.g. hcvault://vault.example.com:8200/transit/keys/galaxygate", "", &c.KeysetKMS, nil),
		hidden("VAULT_TOKEN", "HashiCorp Vault's token for the key of TOKEN_KEYSET_KMS_URI", &c.VaultToken).require(wrapped(env)),
		list("ALLOWED_ORIGINS", "browser origins that may call with credentials", &c.AllowedOrigins, browserOrigin, "an origin such as https://app.example.com"),
		{
			name: "ALLOWED_REDIRECTS", help: "where sign-in may return to beside PUBLIC_URL",
			parse: func(s string) error { return redirects(s, &c.AllowedRedirects) },
			show:  func() string { return strings.Join(c.AllowedRedirects.Texts(), ",") },
		},
		list("NATIVE_CLIENT_IDS", "client IDs of native apps", &c.NativeClients, clientID, "a client ID of printable ASCII without spaces").otherwise("native"),
		duration("SESSION_IDLE_TIMEOUT", "a session not used for so long ends", "168h", &c.SessionIdle),
		duration("SESSION_LIFETIME", "any session ends after so long", "2160h", &c.SessionLife),
		duration("REFRESH_EARLY", "an access token this near its end is refreshed (never over a fifth of its life)", "60s", &c.RefreshEarly),
		duration("SWEEP_INTERVAL", "how often grants near their end and rows that are over are looked for", "1m", &c.SweepInterval),
		number("SWEEP_RATE", "refreshes a minute that keep grants alive, of each replica; 0: none", 30, &c.SweepRate),
		duration("SESSION_RETENTION", "how long a session is kept that has ended", "720h", &c.SessionRetention),
		durationOrNone("AUDIT_RETENTION", "how long a row of the audit log is kept; 0: for ever", "8760h", &c.AuditRetention),
		automatic("PLAYGROUND", "GraphiQL at /; auto: in development", func() bool { return dev }, &c.Playground),
		automatic("INTROSPECTION", "answer introspection queries; auto: in development", func() bool { return dev }, &c.Introspection),
		text("TRUSTED_DOCUMENTS", "a file of known operations: nothing else runs", "", &c.TrustedDocuments, fileName),
		number("MAX_QUERY_DEPTH", "nesting of an operation; 0: no limit, which lets one operation exhaust the memory", 15, &c.MaxDepth),
		number("MAX_QUERY_COMPLEXITY", "cost of an operation, as @cost and @listSize of the schema say; 0: no limit", 10000, &c.MaxComplexity),
		number("MAX_QUERY_ALIASES", "aliases in an operation; 0: no limit", 100, &c.MaxAliases),
		number("MAX_ROOT_FIELDS", "fields that an operation selects of its root; 0: no limit", 50, &c.MaxRootFields),
		number("MAX_QUERY_TOKENS", "lexical tokens of a document; 0: no limit", 5000, &c.MaxTokens),
		number("MAX_BODY_BYTES", "size of a request body; 0: no limit", 256<<10, &c.MaxBodyBytes),
		text("GRAPHQL_HTTP_PROFILE", "status and media type of GraphQL answers: audited, or draft", "audited", &c.HTTPProfile, oneOf("audited", "draft")),
		number("RATE_LIMIT", "requests a minute for a session, or for an address without one; 0: no limit", 600, &c.RateLimit),
		number("MAX_STREAMS", "WebSocket connections and event streams that may be open, of each replica; 0: no limit", 10_000, &c.MaxStreams),
		number("MAX_STREAMS_PER_CALLER", "the same for a session, or for an address without one; 0: no limit", 50, &c.MaxStreamsPerCaller),
		duration("OPERATION_TIMEOUT", "a GraphQL operation that takes longer is ended", "30s", &c.OperationTimeout),
		duration("SHUTDOWN_GRACE", "how long requests may take to finish at shutdown; 20 s more are for refreshes", "10s", &c.ShutdownGrace),
		{
			name: "LOG_LEVEL", help: "debug, info, warn or error", fallback: "info",
			parse: func(s string) error {
				if c.LogLevel.UnmarshalText([]byte(s)) != nil {
					return errors.New("must be debug, info, warn or error")
				}
				return nil
			},
			show: func() string { return strings.ToLower(c.LogLevel.String()) },
		},
		text("LOG_FORMAT", "text, json, or auto: text on a terminal", "auto", &c.LogFormat, oneOf("text", "json", "auto")),
	}, traceVariables(&c.Traces)...)
}

func (v variable) require(required bool) variable {
	v.required = required
	return v
}

func (v variable) otherwise(fallback string) variable {
	v.fallback = fallback
	return v
}

func text(name, help, fallback string, to *string, check func(string) error) variable {
	return variable{
		name: name, help: help, fallback: fallback,
		parse: func(s string) error {
			*to = s
			if check == nil {
				return nil
			}
			return check(s)
		},
		show: func() string { return *to },
	}
}

func hidden(name, help string, to *secret.Text) variable {
	return variable{
		name: name, help: help,
		parse: func(s string) error { *to = secret.New(s); return nil },
		show:  func() string { return to.String() },
	}
}

func duration(name, help, fallback string, to *time.Duration) variable {
	return variable{
		name: name, help: help, fallback: fallback,
		parse: func(s string) error {
			d, err := time.ParseDuration(s)
			if err != nil || d <= 0 {
				return errors.New("must be a positive duration such as 90s or 168h")
			}
			*to = d
			return nil
		},
		show: func() string { return to.String() },
	}
}

// durationOrNone is a duration that may be 0.
func durationOrNone(name, help, fallback string, to *time.Duration) variable {
	v := duration(name, help, fallback, to)
	v.parse = func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return errors.New("must be 0 or a positive duration such as 90s or 168h")
		}
		*to = d
		return nil
	}
	return v
}

// boolean is true or false, which is the fallback.
func boolean(name, help string, to *bool) variable {
	return variable{
		name: name, help: help, fallback: "false",
		parse: func(s string) (err error) {
			if *to, err = strconv.ParseBool(s); err != nil {
				return errors.New("must be true or false")
			}
			return nil
		},
		show: func() string { return strconv.FormatBool(*to) },
	}
}

// automatic is a boolean, or auto: then fallback is asked, once the variables before
// it are read.
func automatic(name, help string, fallback func() bool, to *bool) variable {
	v := boolean(name, help, to)
	parse := v.parse
	v.fallback = "auto"
	v.parse = func(s string) error {
		if s == "auto" {
			*to = fallback()
			return nil
		}
		return parse(s)
	}
	return v
}

func number[N int | int64](name, help string, fallback N, to *N) variable {
	return variable{
		name: name, help: help, fallback: fmt.Sprint(fallback),
		parse: func(s string) error {
			n, err := strconv.ParseInt(s, 10, 32)
			if err != nil || n < 0 {
				return fmt.Errorf("must be a whole number from 0 to %d", math.MaxInt32)
			}
			*to = N(n)
			return nil
		},
		show: func() string { return fmt.Sprint(*to) },
	}
}

// list is separated by commas.
func list[T any](name, help string, to *[]T, parse func(string) (T, error), expected string) variable {
	return variable{
		name: name, help: help,
		parse: func(s string) error {
			for _, one := range split(s) {
				value, err := parse(one)
				if err != nil {
					return fmt.Errorf("%q: must be %s", withoutUser(one), expected)
				}
				*to = append(*to, value)
			}
			return nil
		},
		show: func() string {
			texts := make([]string, 0, len(*to))
			for _, one := range *to {
				texts = append(texts, fmt.Sprint(one))
			}
			return strings.Join(texts, ",")
		},
	}
}

func split(s string) []string {
	var parts []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

func pick(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}

func oneOf(values ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(values, s) {
			return errors.New("must be one of " + strings.Join(values, ", "))
		}
		return nil
	}
}

// wrapped reports whether a key-management service is to unwrap the keyset.
func wrapped(env *Environment) bool {
	uri, _, _ := env.value("TOKEN_KEYSET_KMS_URI") // its own variable reports the error
	return uri != ""
}

// hostedGalaxy is the hosted Rollup's Galaxy, which allows an application
// hostedRate requests a minute.
const (
	hostedGalaxy = "https://galaxy.rollup.id/graphql"
	hostedRate   = 10
)

// galaxyRate is how many requests a minute the Galaxy allows that is asked; 0: any
// number.
func galaxyRate(env *Environment, fallback string) int {
	address, _, _ := env.value("GALAXY_URL") // its own variable reports the error
	u, err := url.Parse(cmp.Or(address, fallback))
	if err == nil && u.Hostname() == "galaxy.rollup.id" {
		return hostedRate
	}
	return 0
}

// hostedRollup reports whether the issuer is the hosted Rollup, which does not
// return nonces.
func hostedRollup(env *Environment) bool {
	issuer, _, _ := env.value("ROLLUP_ISSUER") // its own variable reports the error
	u, err := url.Parse(issuer)
	return err == nil && strings.HasSuffix("."+u.Hostname(), ".rollup.id")
}
