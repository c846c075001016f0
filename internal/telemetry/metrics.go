package telemetry

import (
	"net/http"
	"slices"
	"strconv"
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
	lookUps   *prometheus.CounterVec
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
		lookUps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "galaxygate_cache_lookups_total",
			Help: "Look-ups in memory, by cache and by whether they were answered there.",
		}, []string{"cache", "result"}),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.refreshes, m.lookUps,
	)
	for _, outcome := range refreshOutcomes() {
		m.refreshes.WithLabelValues(outcome) // shown as 0 before the first one
	}
	return m
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

// ObserveRefresh records how a refresh ended. An unknown outcome counts as
// "other".
func (m *Metrics) ObserveRefresh(outcome string, took time.Duration) {
	if !slices.Contains(refreshOutcomes(), outcome) {
		outcome = "other"
	}
	m.refreshes.WithLabelValues(outcome).Observe(took.Seconds())
}

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

// Handler serves the metrics in the form that the client asks for, Prometheus'
// text or OpenMetrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}
