package config

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"galaxygate/internal/secret"
)

// Traces are the standard variables of OpenTelemetry that the gateway looks at.
// Its libraries read these and others themselves: see Export.
type Traces struct {
	Disabled       bool
	ServiceName    string
	Attributes     string // of the resource
	Exporter       string // separated by commas; empty: as the endpoint says
	Endpoint       string // for every kind of telemetry
	TracesEndpoint string
	ForAll         string // the protocol for every kind of telemetry
	ForTraces      string
	Headers        secret.Text
	TracesHeaders  secret.Text
	Sampler        string
	Ratio          float64 // of traces, for a sampler that takes one
	Propagators    string
}

// traceExporters are the values of OTEL_TRACES_EXPORTER.
const traceExporters = "otlp, console or none"

// traceVariables are bound to t's fields.
func traceVariables(t *Traces) []variable {
	protocol := oneOf("grpc", "http/protobuf", "http/json")
	return []variable{
		boolean("OTEL_SDK_DISABLED", "no traces at all", &t.Disabled),
		text("OTEL_SERVICE_NAME", "the name that traces give the gateway", "galaxygate", &t.ServiceName, nil),
		text("OTEL_RESOURCE_ATTRIBUTES", "what else traces say of the gateway, name=value separated by commas", "", &t.Attributes, nil),
		text("OTEL_TRACES_EXPORTER", "otlp, console or none (otlp where an endpoint is set, else none)", "", &t.Exporter, exporterList),
		text("OTEL_EXPORTER_OTLP_ENDPOINT", "the collector, e.g. http://localhost:4318", "", &t.Endpoint, collectorURL),
		text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "the collector of traces, with its whole path", "", &t.TracesEndpoint, collectorURL),
		text("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc, http/protobuf or http/json", "http/protobuf", &t.ForAll, protocol),
		text("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "likewise, for traces", "", &t.ForTraces, protocol),
		headers("OTEL_EXPORTER_OTLP_HEADERS", "sent to the collector, name=value separated by commas", &t.Headers),
		headers("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "likewise, to the collector of traces", &t.TracesHeaders),
		text("OTEL_TRACES_SAMPLER", "which traces are kept", "parentbased_always_on", &t.Sampler, oneOf(
			"always_on", "always_off", "traceidratio",
			"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")),
		{
			name: "OTEL_TRACES_SAMPLER_ARG", help: "the part of the traces that a sampler by ratio keeps", fallback: "1",
			parse: func(s string) (err error) {
				if t.Ratio, err = strconv.ParseFloat(s, 64); err != nil || !(t.Ratio >= 0 && t.Ratio <= 1) {
					return errors.New("must be a number from 0 to 1")
				}
				return nil
			},
			show: func() string { return strconv.FormatFloat(t.Ratio, 'g', -1, 64) },
		},
		// Unknown ones are ignored, as the standard has it: they are set for many programs alike.
		text("OTEL_PROPAGATORS", "without tracecontext, Galaxy and the provider are sent no traceparent", "tracecontext", &t.Propagators, nil),
	}
}

// Exporters are what spans are given to, of "otlp" and "console"; none where there
// are to be no traces.
func (t *Traces) Exporters() []string {
	list := split(strings.ToLower(t.Exporter))
	if len(list) == 0 && cmp.Or(t.TracesEndpoint, t.Endpoint) != "" {
		list = []string{"otlp"}
	}
	if t.Disabled || slices.Contains(list, "none") {
		return nil
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Protocol is how spans travel to the collector.
func (t *Traces) Protocol() string { return cmp.Or(t.ForTraces, t.ForAll) }

// Propagated reports whether upstreams are told the trace.
func (t *Traces) Propagated() bool {
	return slices.Contains(split(strings.ToLower(t.Propagators)), "tracecontext")
}

// Secrets are what an error of the exporter's must not show: the values of its
// headers, as they are written and as they are sent, and without their scheme, where
// they are credentials.
func (t *Traces) Secrets() []secret.Text {
	var secrets []secret.Text
	for _, list := range []secret.Text{t.Headers, t.TracesHeaders} {
		for _, pair := range split(list.Reveal()) {
			_, value, _ := strings.Cut(pair, "=")
			secrets = append(secrets, secret.New(strings.TrimSpace(value)))
			if sent, err := url.PathUnescape(value); err == nil {
				secrets = append(secrets, secret.New(strings.TrimSpace(sent)))
				_, credentials, _ := strings.Cut(strings.TrimSpace(sent), " ")
				secrets = append(secrets, secret.New(strings.TrimSpace(credentials)))
			}
		}
	}
	return secrets
}

// Export puts what a .env file or a NAME_FILE says of OpenTelemetry into the
// process's environment, where its libraries look.
func (t *Traces) Export(env *Environment) error {
	var names []string
	for _, v := range traceVariables(t) {
		names = append(names, v.name)
	}
	return env.export("OTEL_", names...)
}

func exporterList(s string) error {
	for _, one := range split(strings.ToLower(s)) {
		if !slices.Contains([]string{"otlp", "console", "none"}, one) {
			return errors.New("must be " + traceExporters)
		}
	}
	return nil
}

// collectorURL wants no credentials: they would be shown, and not be sent.
func collectorURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("must be an http or https URL without user, query and fragment; credentials go into OTEL_EXPORTER_OTLP_HEADERS")
	}
	return nil
}

// headers are a list whose values may be secrets. The exporter would quote a
// malformed one in the log.
func headers(name, help string, to *secret.Text) variable {
	v := hidden(name, help, to)
	v.parse = func(s string) error {
		*to = secret.New(s)
		for _, pair := range split(s) {
			key, value, found := strings.Cut(pair, "=")
			if _, err := url.PathUnescape(value); !found || !isToken(strings.TrimSpace(key)) || err != nil {
				return errors.New("must be name=value pairs separated by commas, values percent-encoded")
			}
		}
		return nil
	}
	return v
}

// isToken reports whether s may be the name of a header (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return s != "" && strings.Trim(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
