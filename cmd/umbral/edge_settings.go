package main

import (
	"errors"
	"fmt"
	"net"

	"umbral/cachepolicy"
	"umbral/config"
	"umbral/proxy"
)

// newRules compiles a file's rules; what is wrong with them has a place in it.
func newRules(file *config.File) (*proxy.Rules, error) {
	routes, faults := cachepolicy.NewRoutes(file.Rules)
	if len(faults) > 0 {
		var all config.Faults
		for _, f := range faults {
			all = append(all, file.Fault(f.Index, f.Field, f.Err))
		}
		return nil, all
	}
	limits := make([]*proxy.Limit, len(file.Rules))
	for i, l := range file.Limits {
		if l.Rate.Count > 0 {
			limits[i] = &proxy.Limit{Rate: l.Rate.Count, Per: l.Rate.Per, By: limitBy(l.By)}
		}
	}
	return proxy.NewRules(routes, limits, file.Methods), nil
}

func limitBy(word string) proxy.LimitBy {
	switch word {
	case "session":
		return proxy.BySession
	case "user":
		return proxy.ByUser
	}
	return proxy.ByIP
}

func listen(name, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, fmt.Errorf("%s: cannot listen on %s: %w", name, address, err)
	}
	return l, nil
}

func upstreams(set *config.Settings) []string {
	var urls []string
	for _, u := range set.Upstreams {
		urls = append(urls, u.String())
	}
	return urls
}

func secrets(set *config.Settings) [][]byte {
	var all [][]byte
	for _, s := range set.EdgeSecrets {
		all = append(all, []byte(s.Reveal()))
	}
	return all
}

func alsoFollowed(set *config.Settings) []string {
	var files []string
	for _, f := range []string{set.EdgeSecretsFile, set.TLSCert, set.TLSKey} {
		if f != "" {
			files = append(files, f)
		}
	}
	return files
}

func appHosts(set *config.Settings) []string {
	var hosts []string
	for _, u := range set.Upstreams {
		hosts = append(hosts, u.Host)
	}
	return hosts
}
