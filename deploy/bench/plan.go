package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// size is a body to serve.
type size struct {
	name  string
	bytes int
}

func allSizes() []size {
	return []size{{"1k", 1 << 10}, {"16k", 16 << 10}, {"64k", 64 << 10}}
}

// scenario is one question to ask of several servers.
type scenario struct {
	name, title, what string
	servers           []string
	// bare is the server that the differences are taken to.
	bare string
	// cookie: the requests carry the cookie of somebody signed in.
	cookie bool
	// misses: the origin is to be asked each time; otherwise never.
	misses bool
}

func allScenarios() []scenario {
	return []scenario{
		{
			name: "hit", title: "Memory hit", bare: "bare",
			what:    "A public page that is in the cache. “bare” is a net/http handler that writes the same bytes.",
			servers: []string{"nginx", "nginx+log", "varnish", "haproxy", "bare", "umbral", "umbral+log"},
		},
		{
			name: "session", title: "Session-varied hit", bare: "bare", cookie: true,
			what:    "A signed-in visitor's own page. Umbral verifies its cookie and looks the session up; nginx and Varnish take the raw cookie into the key and believe it.",
			servers: []string{"nginx", "nginx+log", "varnish", "bare", "umbral", "umbral+log"},
		},
		{
			name: "redis", title: "Redis hit", bare: "bare",
			what:    "The same public page with MEMORY_CACHE_BYTES=0, so that each hit is read from Redis; Redis's own CPU is shown apart.",
			servers: []string{"nginx", "bare", "umbral-redis"},
		},
		{
			name: "miss", title: "Miss", bare: "reverseproxy", misses: true,
			what:    "A page that may not be stored, fetched from the origin each time. “reverseproxy” is a bare httputil.ReverseProxy with Umbral's Transport settings.",
			servers: []string{"nginx", "nginx+log", "varnish", "haproxy", "reverseproxy", "umbral", "umbral+log"},
		},
	}
}

// plan is what a run measures.
type plan struct {
	scenarios []scenario
	sizes     []size
}

// servers lists every server of the plan once, in the order of first use.
func (p *plan) servers() []string {
	var names []string
	for _, s := range p.scenarios {
		for _, n := range s.servers {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

// makePlan narrows everything to what -only and -log leave.
func makePlan(o *options) (*plan, error) {
	p := &plan{scenarios: allScenarios(), sizes: allSizes()}
	known := p.servers()
	var scenarios, sizes, servers []string
	for _, word := range o.only {
		word = strings.TrimSpace(word)
		switch {
		case slices.ContainsFunc(p.scenarios, func(s scenario) bool { return s.name == word }):
			scenarios = append(scenarios, word)
		case slices.ContainsFunc(p.sizes, func(s size) bool { return s.name == word }):
			sizes = append(sizes, word)
		case slices.Contains(known, word):
			servers = append(servers, word)
		default:
			return nil, fmt.Errorf("-only: %q is none of hit, session, redis, miss, 1k, 16k, 64k, %s", word, strings.Join(known, ", "))
		}
	}
	unwanted := func(list []string, name string) bool { return len(list) > 0 && !slices.Contains(list, name) }
	p.sizes = slices.DeleteFunc(p.sizes, func(s size) bool { return unwanted(sizes, s.name) })
	p.scenarios = slices.DeleteFunc(p.scenarios, func(s scenario) bool { return unwanted(scenarios, s.name) })
	for i := range p.scenarios {
		s := &p.scenarios[i]
		s.servers = slices.DeleteFunc(s.servers, func(n string) bool { return unwanted(servers, n) || !o.logs(n) })
	}
	p.scenarios = slices.DeleteFunc(p.scenarios, func(s scenario) bool { return len(s.servers) == 0 })
	if len(p.scenarios) == 0 {
		return nil, fmt.Errorf("-only %s leaves nothing to measure", strings.Join(o.only, ","))
	}
	return p, nil
}

// logs reports whether -log leaves the server in.
func (o *options) logs(name string) bool {
	base, logging := strings.CutSuffix(name, "+log")
	switch {
	case o.log == "both" || base != "nginx" && base != "umbral":
		return true
	default:
		return logging == (o.log == "on")
	}
}

// missing names every program that the servers need and that is not there.
func missing(servers []string, umbral string) error {
	need := []string{"wrk"}
	ours := false
	for _, s := range servers {
		switch {
		case strings.HasPrefix(s, "nginx"):
			need = append(need, "nginx")
		case s == "varnish":
			need = append(need, "varnishd")
		case s == "haproxy":
			need = append(need, "haproxy")
		case strings.HasPrefix(s, "umbral"):
			need = append(need, "redis-server")
			ours = true
		}
	}
	packages := map[string]string{"nginx": "nginx-light", "varnishd": "varnish"}
	var lacking []string
	for _, n := range need {
		if lookPath(n) != "" {
			continue
		}
		if p := packages[n]; p != "" {
			n = p
		}
		if !slices.Contains(lacking, n) {
			lacking = append(lacking, n)
		}
	}
	if len(lacking) > 0 {
		return fmt.Errorf("not installed: %[1]s (on Debian: apt-get install %[1]s), or leave them out with -only", strings.Join(lacking, " "))
	}
	if _, err := os.Stat(umbral); ours && err != nil {
		return fmt.Errorf("there is no %s: make bin/umbral builds it, -umbral names another", umbral)
	}
	return nil
}

// lookPath also looks where Debian keeps servers, "" if the program is nowhere.
func lookPath(program string) string {
	for _, name := range []string{program, "/usr/sbin/" + program, "/usr/local/sbin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
