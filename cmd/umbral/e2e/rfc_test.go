package e2e

import (
	"fmt"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

// group is a table of cases and the edges on which they are played.
type group struct {
	name  string
	on    []string
	cases []play1
}

// The edges of TestRFC: every path on a route of "ttl: app"; no route at all;
// and the first again, asked by a trusted proxy.
const (
	pure      = "pure"
	routeless = "routeless"
	trusted   = "trusted"
)

var everywhere = []string{pure, routeless}

// TestRFC plays the RFCs' cases through the real binary, and ends with one
// line of counts, which make conformance prints.
func TestRFC(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startScripted(t)
	upstream := "http://" + app.Addr().String()
	const route = "version: 1\nroutes:\n  - match: /\n    ttl: app\n"
	stages := map[string]*stage{}
	for name, setting := range map[string]struct{ routes, env string }{
		pure:      {route, ""},
		routeless: {"version: 1\n", ""},
		trusted:   {route, "TRUSTED_PROXIES=127.0.0.1/32"},
	} {
		env := []string{"CACHE_KEY_PREFIX=rfc-" + name, "ACCESS_LOG=off"}
		if setting.env != "" {
			env = append(env, setting.env)
		}
		stages[name] = &stage{edge: startEdge(t, upstream, redisURL(redis), setting.routes, env...), app: app, name: name}
	}
	cited := map[string]bool{}
	for _, g := range groups {
		for _, row := range g.cases {
			words := strings.Fields(row.name)
			cited[words[0]+" "+words[1]] = true
		}
	}
	for _, section := range duties {
		if !cited["9111 "+section] {
			t.Errorf("no case for RFC 9111 §%s", section)
		}
	}
	played, failed := 0, 0
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, on := range g.on {
				for _, row := range g.cases {
					played++
					if !t.Run(on+"/"+row.name, func(t *testing.T) { stages[on].run(t, row) }) {
						failed++
					}
				}
			}
		})
	}
	var names []string
	for _, g := range groups {
		names = append(names, fmt.Sprintf("%s %d", g.name, len(g.cases)*len(g.on)))
	}
	fmt.Printf("conformance: %d cases, %d hold, %d do not (%s)\n", played, played-failed, failed, strings.Join(names, ", "))
}

// duties are the sections of RFC 9111 that say what a shared cache must or
// should do, or may where it matters: each has its cases.
var duties = strings.Fields(`1.2.2 3 3.1 3.2 3.3 3.4 3.5 4 4.1 4.2 4.2.1 4.2.2 4.2.3 4.2.4
	4.3.1 4.3.2 4.3.3 4.3.4 4.3.5 4.4 5.1 5.2 5.2.1.1 5.2.1.2 5.2.1.3 5.2.1.4 5.2.1.5 5.2.1.7
	5.2.2.1 5.2.2.2 5.2.2.3 5.2.2.4 5.2.2.5 5.2.2.6 5.2.2.7 5.2.2.8 5.2.2.9 5.2.2.10 5.2.3 5.3 5.4`)

var groups = []group{
	{"freshness", everywhere, freshnessCases},
	{"heuristics", []string{pure}, append(heuristicCases, statusHeuristics()...)},
	{"storing", everywhere, storingCases},
	{"vary", everywhere, varyCases},
	{"validation", everywhere, validationCases},
	{"ranges", everywhere, rangeCases},
	{"invalidation", everywhere, invalidationCases},
	{"unknown methods", []string{pure}, unknownMethods()},
	{"stale", everywhere, staleCases},
	{"connection", everywhere, connectionCases},
	{"targeted fields", everywhere, targetedCases},
	{"Cache-Status", everywhere, cacheStatusCases},
	{"No-Vary-Search", everywhere, noVarySearchCases},
	{"a stranger's directives", everywhere, strangerCases},
	{"a trusted proxy's directives", []string{trusted}, trustedCases},
}
