package admin

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Limits of sitemaps (sitemaps.org: 50,000 URLs and 50 MB in one file; an
// index lists no index).
const (
	maxSitemaps     = 50
	maxSitemapBytes = 50 << 20
	maxSitemapURL   = 2048
)

var (
	errSitemapLarge = errors.New("the sitemap is over 50 MB")
	errNoSitemap    = errors.New("neither a sitemap nor a sitemap index")
)

// readSitemap fetches a sitemap, or all that an index lists, and returns the
// distinct pages of one host, in order: of the sitemap's own, and of the first
// that is listed where the sitemap was named by its path, since the app knows
// the name of its site better than the edge does. The scheme of a URL is not
// compared: the edge has one of its own, whatever is said in front of it.
// With an error come the pages found before.
func (m *Warmer) readSitemap(raw string) (found []warmTarget, skipped int, err error) {
	first, err := m.target(raw)
	if err != nil {
		return nil, 0, err
	}
	host := first.host
	if strings.HasPrefix(raw, "/") {
		host = ""
	}
	foreign := func(t warmTarget) bool {
		if host == "" {
			host = t.host
		}
		return t.host != host
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
			if err != nil || foreign(t) || len(found) >= maxWarmURLs {
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
			if err != nil || foreign(t) || i > 0 || len(files) >= maxSitemaps {
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
