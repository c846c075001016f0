package telemetry

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the process's numbers. Their labels take few values, none of
// them a caller's.
type Metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.HistogramVec
	refreshes *prometheus.HistogramVec
	waits     prometheus.Histogram
	contended prometheus.Counter
	ended     *prometheus.CounterVec
	lookUps   *prometheus.CounterVec
	kept      *prometheus.CounterVec
	revoked   *prometheus.CounterVec
	tidied    *prometheus.CounterVec
	persisted *prometheus.CounterVec
	upstream  upstreamMetrics
}

// NewMetrics returns the metrics with those of the Go runtime and the process.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "galaxygate_http_request_duration_seconds",
			Help:    "How long requests took, by the pattern of their route and the class of their status.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route", "status"}),
		refreshes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "galaxygate_refresh_duration_seconds",
			Help:    "How long presentations of a refresh token took, by how they ended.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"outcome"}),
		waits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "galaxygate_refresh_wait_duration_seconds",
			Help:    "How long requests waited for a refresh, their own or another's.",
			Buckets: []float64{.001, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		contended: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "galaxygate_lease_contended_total",
			Help: "Refreshes that found the grant leased or changed by someone else.",
		}),
		ended:   counts("galaxygate_reauthentications_total", "Grants that could no longer be refreshed, by reason.", "reason"),
		lookUps: counts("galaxygate_cache_lookups_total", "Look-ups in memory, by cache and by whether they were answered there.", "cache", "result"),
		kept:    counts("galaxygate_kept_alive_total", "Refreshes of grants that nobody asked for, by how they ended.", "outcome"),
		revoked: counts("galaxygate_revocations_total", "Attempts to take tokens back at the provider, by how they ended.", "outcome"),
		tidied:  counts("galaxygate_tidied_rows_total", "Rows that were cleared away, by what they were.", "what"),
		persisted: counts("galaxygate_persisted_operations_total",
			"Operations that clients named instead of sending them, and all where only trusted ones run, by how that ended.", "kind", "result"),
		upstream: newUpstreamMetrics(),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.refreshes, m.waits, m.contended, m.ended, m.lookUps, m.kept, m.revoked, m.tidied, m.persisted,
	)
	m.upstream.register(m.registry)
	for _, outcome := range refreshOutcomes() {
		m.refreshes.WithLabelValues(outcome) // shown as 0 before the first one
	}
	for _, reason := range append(reauthenticationReasons(), other) {
		m.ended.WithLabelValues(reason)
	}
	return m
}

// counts is a counter with these labels.
func counts(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// refreshOutcomes are the ways in which a refresh ends: package grant's kinds
// of failures, "refreshed", and "fenced" where another replica's result counts.
func refreshOutcomes() []string {
	return []string{"refreshed", "fenced", "later", "sign_in_again", "operator_fault"}
}

// ObserveRequest records a served request. The route is the pattern that
// matched, empty where none did.
func (m *Metrics) ObserveRequest(route string, status int, took time.Duration) {
	if route == "" {
		route = "unmatched"
	}
	m.requests.WithLabelValues(route, strconv.Itoa(status/100)+"xx").Observe(took.Seconds())
}

// Refreshed implements grant.Observer. An unknown outcome counts as "other".
func (m *Metrics) Refreshed(outcome string, took time.Duration) {
	m.refreshes.WithLabelValues(known(outcome, refreshOutcomes())).Observe(took.Seconds())
}

// Waited implements grant.Observer.
func (m *Metrics) Waited(took time.Duration) { m.waits.Observe(took.Seconds()) }

// Contended implements grant.Observer.
func (m *Metrics) Contended() { m.contended.Inc() }

// Reauthenticate implements grant.Observer. A reason that is not among those of
// OAuth and of the gateway counts as "other".
func (m *Metrics) Reauthenticate(reason string) {
	m.ended.WithLabelValues(known(reason, reauthenticationReasons())).Inc()
}

// reauthenticationReasons are the reasons of package grant, and those that package
// passport understands.
func reauthenticationReasons() []string {
	return []string{
		"no_refresh_token", "refresh_interrupted", "consent_withdrawn",
		"invalid_grant", "unauthorized", "interaction_required", "login_required", "consent_required",
		"bad_verification_code", "bad_refresh_token", "subject_mismatch",
	}
}

// other is what a label takes for what is not known.
const other = "other"

// known returns the value if it is one of those that a label takes.
func known(value string, values []string) string {
	if slices.Contains(values, value) {
		return value
	}
	return other
}

// KeptAlive records how a refresh ended that nobody asked for: one of
// grant.Keeper's outcomes.
func (m *Metrics) KeptAlive(outcome string) { m.kept.WithLabelValues(outcome).Inc() }

// Revoked records how an attempt to revoke ended: one of grant.Revocations'
// outcomes.
func (m *Metrics) Revoked(outcome string) { m.revoked.WithLabelValues(outcome).Inc() }

// Tidied records rows that were cleared away: store.Housekeeper says of what.
func (m *Metrics) Tidied(what string, n int) { m.tidied.WithLabelValues(what).Add(float64(n)) }

// Persisted records how a request ended that names its operation: package graph says
// of which kind it is, and how.
func (m *Metrics) Persisted(kind, result string) { m.persisted.WithLabelValues(kind, result).Inc() }

// ObserveSessionCache records whether a session was found in memory.
func (m *Metrics) ObserveSessionCache(hit bool) { m.observeCache("sessions", hit) }

// ObserveGrantCache records whether a grant was found in memory.
func (m *Metrics) ObserveGrantCache(hit bool) { m.observeCache("grants", hit) }

func (m *Metrics) observeCache(name string, hit bool) {
	result := "miss"
	if hit {
		result = "hit"
	}
	m.lookUps.WithLabelValues(name, result).Inc()
}

// countLimit bounds the time that counting may take, countLife is for how long a
// count is good: however often the metrics are asked for, the store is not.
const (
	countLimit = 2 * time.Second
	countLife  = 30 * time.Second
)

// Count shows the numbers that count returns, by the value of the label, as they
// are when the metrics are asked for. Where count fails they are not shown.
func (m *Metrics) Count(name, help, label string, count func(context.Context) (map[string]int, error)) {
	m.registry.MustRegister(&counter{
		description: prometheus.NewDesc(name, help, []string{label}, nil),
		count:       count,
	})
}

// counter is a prometheus.Collector.
type counter struct {
	description *prometheus.Desc
	count       func(context.Context) (map[string]int, error)

	mu   sync.Mutex
	last map[string]int
	at   time.Time
}

// Describe implements prometheus.Collector.
func (c *counter) Describe(to chan<- *prometheus.Desc) { to <- c.description }

// Collect implements prometheus.Collector.
func (c *counter) Collect(to chan<- prometheus.Metric) {
	for value, n := range c.current() {
		to <- prometheus.MustNewConstMetric(c.description, prometheus.GaugeValue, float64(n), value)
	}
}

func (c *counter) current() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) < countLife {
		return c.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), countLimit)
	defer cancel()
	last, err := c.count(ctx)
	if err != nil {
		return nil
	}
	c.last, c.at = last, time.Now()
	return last
}

// Gauge shows the number that read returns, as it is when the metrics are asked for.
func (m *Metrics) Gauge(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// Handler serves the metrics in the form that the client asks for, Prometheus'
// text or OpenMetrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}
