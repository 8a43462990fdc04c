package worker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what an operator watches of the work.
type Metrics struct {
	expiryLag prometheus.Histogram
	failures  *prometheus.CounterVec
	refusals  prometheus.Counter
}

// NewMetrics registers the metrics of a worker.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		expiryLag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "writ_expiry_lag_seconds", Help: "From the end of the writ to the read-back that showed the access gone.",
			Buckets: []float64{.01, .05, .1, .5, 1, 2, 5, 10, 30, 60, 300, 1800},
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "writ_target_failures_total", Help: "Calls to targets that did not succeed, by task.",
		}, []string{"task"}),
		refusals: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "writ_writ_refusals_total", Help: "Writs that did not hold when they were to be carried out. Any is an alarm.",
		}),
	}
	reg.MustRegister(m.expiryLag, m.failures, m.refusals)
	m.failures.WithLabelValues("grant")
	m.failures.WithLabelValues("revoke")
	return m
}

func (m *Metrics) lag(d time.Duration) { m.expiryLag.Observe(d.Seconds()) }
func (m *Metrics) failed(task string)  { m.failures.WithLabelValues(task).Inc() }
func (m *Metrics) refused()            { m.refusals.Inc() }
