package server

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/writhq/writ/internal/store"
)

func newRegistry(db *store.DB) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), storeMetrics{db})
	return reg
}

// storeMetrics reads the store's own figures whenever somebody asks for them.
type storeMetrics struct{ db *store.DB }

var (
	queueDesc    = prometheus.NewDesc("writ_queue_depth", "Callers that wait for a decision.", nil, nil)
	liveDesc     = prometheus.NewDesc("writ_requests", "Live requests, by status.", []string{"status"}, nil)
	overdueDesc  = prometheus.NewDesc("writ_overdue_seconds", "How long the oldest due task has waited.", nil, nil)
	sizeDesc     = prometheus.NewDesc("writ_ledger_size", "Events in the ledger.", nil, nil)
	decisionDesc = prometheus.NewDesc("writ_decisions_total", "Decisions, refused ones too.", nil, nil)
	revokeDesc   = prometheus.NewDesc("writ_revoke_failures_total", "Revocations that are not proven, recorded.", nil, nil)
	batchDesc    = prometheus.NewDesc("writ_commit_decisions", "Decisions that shared a commit.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m storeMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queueDesc, liveDesc, overdueDesc, sizeDesc, decisionDesc, revokeDesc, batchDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m storeMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readyIn)
	defer cancel()
	s, err := m.db.Stats(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(queueDesc, err)
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(queueDesc, float64(s.Queued))
	gauge(overdueDesc, s.Overdue.Seconds())
	gauge(sizeDesc, float64(s.Size))
	for status, n := range s.Live {
		gauge(liveDesc, float64(n), string(status))
	}
	ch <- prometheus.MustNewConstMetric(decisionDesc, prometheus.CounterValue, float64(s.Decisions))
	ch <- prometheus.MustNewConstMetric(revokeDesc, prometheus.CounterValue, float64(s.RevokeFailures))
	buckets, total := map[float64]uint64{}, uint64(0)
	for i, n := range s.Batches[:len(s.Batches)-1] {
		total += uint64(n)
		buckets[float64(int(1)<<i)] = total
	}
	ch <- prometheus.MustNewConstHistogram(batchDesc, uint64(s.Commits), float64(s.Decisions), buckets)
}
