package witness

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what an operator watches of the witnesses.
type Metrics struct {
	failures *prometheus.CounterVec
	lag      prometheus.Gauge
	halted   prometheus.Gauge
	level    atomic.Int64 // when last all events were witnessed, Unix time in nanoseconds
}

// NewMetrics registers the metrics of an Asker.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "writ_witness_failures_total", Help: "Times that a witness was asked and did not cosign, by witness.",
		}, []string{"witness"}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "writ_witness_lag_events", Help: "Events that are not under a checkpoint cosigned by a quorum.",
		}),
		halted: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "writ_witness_safe_mode", Help: "1 if a witness contradicts the ledger: nothing is granted.",
		}),
	}
	m.level.Store(time.Now().UnixNano())
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "writ_witness_age_seconds", Help: "Since all events were last under a checkpoint cosigned by a quorum.",
	}, func() float64 { return time.Since(time.Unix(0, m.level.Load())).Seconds() })
	reg.MustRegister(m.failures, m.lag, m.halted, age)
	return m
}

// seen says how many events of how many are witnessed.
func (m *Metrics) seen(witnessed, all int64, now time.Time) {
	m.lag.Set(float64(max(0, all-witnessed)))
	if witnessed >= all {
		m.level.Store(now.UnixNano())
	}
}
