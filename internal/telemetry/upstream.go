package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// upstreamMetrics are the numbers of what Galaxy and userinfo are asked.
type upstreamMetrics struct {
	requests *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	broken   *prometheus.GaugeVec
	turns    prometheus.Histogram
	answers  *prometheus.CounterVec
	redis    prometheus.Gauge
}

func newUpstreamMetrics() upstreamMetrics {
	return upstreamMetrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "galaxygate_upstream_request_duration_seconds",
			Help:    "How long requests to Galaxy and userinfo took, by how they ended.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"upstream", "outcome"}),
		refused: counts("galaxygate_upstream_refused_total", "Requests to Galaxy and userinfo that the gateway did not make, by why.", "upstream", "reason"),
		broken: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "galaxygate_upstream_broken",
			Help: "Whether too many requests have failed of late for another to be made: 1, else 0.",
		}, []string{"upstream"}),
		turns: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "galaxygate_budget_wait_duration_seconds",
			Help:    "How long requests to Galaxy waited for their turn in its budget.",
			Buckets: []float64{.001, .01, .1, .5, 1, 2.5, 5, 10, 30},
		}),
		answers: counts("galaxygate_upstream_answers_total", "Answers to questions for Galaxy and userinfo, by where they came from.", "from"),
		redis: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "galaxygate_redis_away",
			Help: "Whether Redis is of no use now: 1, else 0, also where there is none.",
		}),
	}
}

// register registers them, and shows as 0 what has not happened yet.
func (u upstreamMetrics) register(with prometheus.Registerer) {
	with.MustRegister(u.requests, u.refused, u.broken, u.turns, u.answers, u.redis)
	for _, upstream := range []string{"galaxy", "userinfo"} {
		u.requests.WithLabelValues(upstream, "answered")
		u.broken.WithLabelValues(upstream)
		for _, reason := range []string{"broken", "busy"} {
			u.refused.WithLabelValues(upstream, reason)
		}
	}
	u.refused.WithLabelValues("galaxy", "budget")
	for _, from := range []string{"asked", "joined", "memory", "shared", "stale"} {
		u.answers.WithLabelValues(from)
	}
}

// Asked implements upstream.Observer.
func (m *Metrics) Asked(upstream, outcome string, took time.Duration) {
	m.upstream.requests.WithLabelValues(upstream, outcome).Observe(took.Seconds())
}

// Refused implements upstream.Observer.
func (m *Metrics) Refused(upstream, reason string) {
	m.upstream.refused.WithLabelValues(upstream, reason).Inc()
}

// Broken implements upstream.Observer.
func (m *Metrics) Broken(upstream string, broken bool) {
	m.upstream.broken.WithLabelValues(upstream).Set(oneIf(broken))
}

// AwaitedTurn implements upstream.Observer.
func (m *Metrics) AwaitedTurn(took time.Duration) { m.upstream.turns.Observe(took.Seconds()) }

// Answered implements upstream.Observer.
func (m *Metrics) Answered(from string, n int) {
	m.upstream.answers.WithLabelValues(from).Add(float64(n))
}

// RedisAway records whether Redis is of use.
func (m *Metrics) RedisAway(away bool) { m.upstream.redis.Set(oneIf(away)) }

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
