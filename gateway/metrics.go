package main

import (
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/rest"
)

// metrics are what the admin address tells: counts and times, never of whom.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	records  *prometheus.CounterVec
	size     prometheus.Gauge
	loads    *prometheus.CounterVec
	stale    prometheus.Gauge
	inForce  *prometheus.GaugeVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sotesilta_http_request_seconds", Help: "Time to answer, by type, interaction and status.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"type", "interaction", "status"}),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sotesilta_ledger_records_total", Help: "Records that this node sequenced, by interaction and outcome.",
		}, []string{"interaction", "outcome"}),
		size: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sotesilta_ledger_size", Help: "Entries in the ledger's tree when this node last sequenced.",
		}),
	}
	m.loads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sotesilta_policy_loads_total", Help: "Times that the policies were read, by result: loaded or error.",
	}, []string{"result"})
	m.stale = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sotesilta_policy_stale", Help: "1 while the files of the policies have an error and an older version is in force.",
	})
	m.inForce = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "sotesilta_policy_info", Help: "1 for the policy version in force.",
	}, []string{"version"})
	m.registry.MustRegister(m.loads, m.stale, m.inForce, m.requests, m.records, m.size, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// policy tells that the policies were read, and which version is in force now.
func (m *metrics) policy(result, version string) {
	m.loads.WithLabelValues(result).Inc()
	m.stale.Set(0)
	if result != "loaded" {
		m.stale.Set(1)
	}
	m.inForce.Reset()
	m.inForce.WithLabelValues(version).Set(1)
}

func (m *metrics) seen(s rest.Seen) {
	m.requests.WithLabelValues(s.Type, s.Interaction, strconv.Itoa(s.Status)).Observe(s.Duration.Seconds())
}

func (m *metrics) sequenced(entries []ledger.Entry) {
	for _, entry := range entries {
		outcome, interaction := "", ""
		for _, column := range entry.Columns {
			switch column.Name {
			case ledger.ColumnOutcome:
				outcome = column.Value
			case ledger.ColumnInteraction:
				interaction = column.Value
			}
		}
		m.records.WithLabelValues(interaction, outcome).Inc()
		m.size.Set(float64(entry.Seq + 1))
	}
}

// handler serves metrics and profiling at the address configured, to requests that name it or this machine.
func (m *metrics) handler(addr string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return onlyHost(addr, mux)
}

// onlyHost answers requests whose Host is a name or address of this machine itself, or the host of addr; others are
// 421 (RFC 9110 § 15.5.20). A page in a browser on this machine can have its own name resolve to 127.0.0.1, and then
// read what is served there (DNS rebinding); its requests still carry that name.
func onlyHost(addr string, next http.Handler) http.Handler {
	configured, _, _ := net.SplitHostPort(addr)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		host = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
		if !loopbackHost(host) && (host == "" || host != strings.ToLower(configured)) {
			http.Error(w, "this address is not served under that name", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
