package proxy

import (
	"github.com/prometheus/client_golang/prometheus"

	"umbral/cachepolicy"
	"umbral/proxy/store"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("umbral_"+name, help, labels, nil)
}

var (
	descRequests  = desc("requests_total", "Requests answered.", "route", "verdict", "code")
	descBytes     = desc("response_bytes_total", "Bytes of content sent to visitors.", "route", "verdict")
	descTook      = desc("request_duration_seconds", "From the header section's arrival to the answer's end.", "route", "verdict")
	descMethods   = desc("request_methods_total", "Requests by method.", "method")
	descReasons   = desc("request_reasons_total", "Why requests were no hits, or answers not stored.", "reason")
	descTiers     = desc("tier_hits_total", "Answers that came from a tier.", "tier")
	descCollapsed = desc("collapsed_requests_total", "Requests that waited for another's fetch.")
	descInFlight  = desc("requests_in_flight", "Requests being answered.")

	descUpRequests = desc("upstream_requests_total", "Requests sent to the app.")
	descUpErrors   = desc("upstream_errors_total", "Requests to the app without a usable answer.", "reason")
	descUpRetries  = desc("upstream_retries_total", "Requests asked of a second upstream.")
	descUpInFlight = desc("upstream_requests_in_flight", "Requests at the app.")
	descUpTook     = desc("upstream_duration_seconds", "From the request to the app's header section.")
	descUpService  = desc("upstreams_in_service", "Upstreams that are asked and do not fail.")
)

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRequests, descBytes, descTook, descMethods, descReasons, descTiers, descCollapsed, descInFlight} {
		c <- d
	}
}

// Collect implements prometheus.Collector: series that never counted anything
// are left out.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		if n > 0 {
			c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
		}
	}
	for name, r := range *m.routes.Load() {
		for v := range numVerdicts {
			for i := range numCodes {
				count(descRequests, r[v].codes[i].Load(), name, v.String(), codeLabel(i))
			}
			count(descBytes, r[v].bytes.Load(), name, v.String())
			if h, ok := r[v].took.metric(descTook, name, v.String()); ok {
				c <- h
			}
		}
	}
	for i, method := range metricMethods {
		count(descMethods, m.methods[i].Load(), method)
	}
	for i := range m.reasons {
		if n := m.reasons[i].Load(); n > 0 {
			count(descReasons, n, reasonName(cachepolicy.Reason(i)))
		}
	}
	for t := store.TierMemory; t <= store.TierRedis; t++ {
		count(descTiers, m.tiers[t].Load(), tierName(t))
	}
	c <- prometheus.MustNewConstMetric(descCollapsed, prometheus.CounterValue, float64(m.collapsed.Load()))
	c <- prometheus.MustNewConstMetric(descInFlight, prometheus.GaugeValue, float64(m.inFlight.Load()))
}

// Describe implements prometheus.Collector.
func (og *Origin) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descUpRequests, descUpErrors, descUpRetries, descUpInFlight, descUpTook, descUpService} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (og *Origin) Collect(c chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	count(descUpRequests, og.counts.requests.Load())
	count(descUpRetries, og.counts.retried.Load())
	count(descUpErrors, og.counts.unreachable.Load(), reasonName(cachepolicy.AppUnreachable))
	count(descUpErrors, og.counts.timeout.Load(), reasonName(cachepolicy.AppTimeout))
	count(descUpErrors, og.counts.badAnswer.Load(), reasonName(cachepolicy.BadAnswer))
	count(descUpErrors, og.counts.overloaded.Load(), reasonName(cachepolicy.Overloaded))
	var inFlight, inService int64
	for _, u := range og.Upstreams() {
		inFlight += u.InFlight
		if u.InService && u.Healthy {
			inService++
		}
	}
	c <- prometheus.MustNewConstMetric(descUpInFlight, prometheus.GaugeValue, float64(inFlight))
	c <- prometheus.MustNewConstMetric(descUpService, prometheus.GaugeValue, float64(inService))
	if h, ok := og.counts.took.metric(descUpTook); ok {
		c <- h
	}
}
