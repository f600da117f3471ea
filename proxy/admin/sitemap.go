package admin

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Limits of sitemaps (sitemaps.org: 50,000 URLs and 50 MB in one file; an
// index lists no index).
const (
	maxSitemaps     = 50
	maxSitemapBytes = 50 << 20
	maxSitemapURL   = 2048
)

// fetched is the edge's answer to a fetch.
type fetched struct {
	status      int
	cacheStatus []string
	body        []byte
	err         error
}

var (
	errWarmPanic    = errors.New("the edge gave the request up")
	errSitemapLarge = errors.New("the sitemap is over 50 MB")
	errNoSitemap    = errors.New("neither a sitemap nor a sitemap index")
)

// fetch asks the edge for t as a visitor without cookies would, and keeps up
// to limit bytes of the body; 0: none.
func (m *Warmer) fetch(t warmTarget, limit int) (got fetched) {
	ctx, cancel := context.WithTimeout(m.ctx, m.o.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.host+t.target, nil)
	if err != nil {
		return fetched{err: errURLForm}
	}
	// As net/http's server would have made it of an origin-form target.
	r.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}
	r.RequestURI, r.RemoteAddr, r.Body = t.target, "127.0.0.1:0", http.NoBody
	r.Header.Set("User-Agent", "umbral-warm")
	w := &sink{header: http.Header{}, limit: limit}
	defer func() {
		// http.ErrAbortHandler is how a truncated answer ends.
		if recover() != nil {
			got = fetched{status: w.status, err: errWarmPanic}
		}
	}()
	m.o.Handler.ServeHTTP(w, r)
	w.WriteHeader(http.StatusOK)
	got = fetched{status: w.status, cacheStatus: w.header.Values("Cache-Status"), body: w.body}
	if err := ctx.Err(); err != nil {
		got.err = err
	} else if w.over {
		got.err = errSitemapLarge
	}
	return got
}

// sink is a ResponseWriter that keeps the head and some of the body.
type sink struct {
	header http.Header
	status int
	body   []byte
	limit  int
	over   bool
}

func (s *sink) Header() http.Header { return s.header }

// WriteHeader lets 1xx answers pass: the final one is yet to come.
func (s *sink) WriteHeader(status int) {
	if s.status == 0 && status >= 200 {
		s.status = status
	}
}

func (s *sink) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	if s.limit > 0 {
		if len(s.body)+len(p) > s.limit {
			s.over = true
			return 0, errSitemapLarge
		}
		s.body = append(s.body, p...)
	}
	return len(p), nil
}

// Flush implements [http.Flusher].
func (s *sink) Flush() {}

// readSitemap fetches a sitemap, or all that an index lists, and returns the
// distinct pages of the same host, in order. The scheme of a URL is not
// compared: the edge has one of its own, whatever is said in front of it.
// With an error come the pages found before.
func (m *Warmer) readSitemap(raw string) (found []warmTarget, skipped int, err error) {
	first, err := m.target(raw)
	if err != nil {
		return nil, 0, err
	}
	seen := map[warmTarget]bool{}
	files := []warmTarget{first}
	for i := 0; i < len(files); i++ {
		pages, more, err := m.readFile(files[i])
		if err != nil {
			return found, skipped, fmt.Errorf("%s: %w", files[i], err)
		}
		for _, loc := range pages {
			t, err := m.target(loc)
			if err != nil || t.host != first.host || len(found) >= maxWarmURLs {
				skipped++
				continue
			}
			if !seen[t] {
				seen[t] = true
				found = append(found, t)
			}
		}
		for _, loc := range more {
			t, err := m.target(loc)
			// An index within an index is against the rules, and a loop.
			if err != nil || t.host != first.host || i > 0 || len(files) >= maxSitemaps {
				skipped++
				continue
			}
			files = append(files, t)
		}
	}
	return found, skipped, nil
}

// readFile fetches one file: pages of a sitemap, files of an index.
func (m *Warmer) readFile(t warmTarget) (pages, files []string, err error) {
	got := m.fetch(t, maxSitemapBytes)
	if got.err != nil {
		return nil, nil, got.err
	}
	if got.status != http.StatusOK {
		return nil, nil, fmt.Errorf("the answer is %d", got.status)
	}
	var text io.Reader = bytes.NewReader(got.body)
	if bytes.HasPrefix(got.body, []byte{0x1f, 0x8b}) { // sitemap.xml.gz
		z, err := gzip.NewReader(text)
		if err != nil {
			return nil, nil, err
		}
		text = z
	}
	return parseSitemap(io.LimitReader(text, maxSitemapBytes))
}

// parseSitemap reads
//
//	<urlset>       *( <url>     <loc> URL </loc> … </url>     ) </urlset>
//	<sitemapindex> *( <sitemap> <loc> URL </loc> … </sitemap> ) </sitemapindex>
//
// in any namespace. encoding/xml expands no entity but the five of XML, so
// there is no bomb to fear.
func parseSitemap(text io.Reader) (pages, files []string, err error) {
	d := xml.NewDecoder(text)
	var within []string
	for {
		t, err := d.Token()
		if err == io.EOF {
			if within == nil {
				return nil, nil, errNoSitemap
			}
			return pages, files, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("malformed XML: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if len(within) == 0 && t.Name.Local != "urlset" && t.Name.Local != "sitemapindex" {
				return nil, nil, errNoSitemap
			}
			if len(within) != 2 || t.Name.Local != "loc" {
				within = append(within, t.Name.Local)
				if len(within) > 32 {
					return nil, nil, errors.New("elements are nested too deep")
				}
				continue
			}
			var loc string
			if err := d.DecodeElement(&loc, &t); err != nil {
				return nil, nil, fmt.Errorf("malformed XML: %w", err)
			}
			loc = strings.TrimSpace(loc)
			switch {
			case len(loc) > maxSitemapURL || len(pages)+len(files) >= 2*maxWarmURLs:
			case within[0] == "urlset" && within[1] == "url":
				pages = append(pages, loc)
			case within[0] == "sitemapindex" && within[1] == "sitemap":
				files = append(files, loc)
			}
		case xml.EndElement:
			within = within[:len(within)-1]
		}
	}
}
