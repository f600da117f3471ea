package admin

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// site is an edge that serves pages and remembers who was asked for.
type site struct {
	mu    sync.Mutex
	pages map[string]string // by host + target
	asked []string
	now   int
	most  int
	hold  chan struct{} // pages wait for it, if not nil
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Host+r.RequestURI)
	s.now++
	s.most = max(s.most, s.now)
	body, ok := s.pages[r.Host+r.RequestURI]
	s.mu.Unlock()
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-r.Context().Done():
		}
	}
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	switch {
	case strings.HasSuffix(r.RequestURI, "/panic"):
		panic(http.ErrAbortHandler)
	case !ok:
		w.Header().Set("Cache-Status", "umbral; fwd=uri-miss; detail=no-freshness")
		w.WriteHeader(http.StatusNotFound)
	case strings.HasSuffix(r.RequestURI, "/hit"):
		w.Header().Set("Cache-Status", "OriginCache; fwd=miss; stored, umbral; hit; ttl=20")
	default:
		w.Header().Set("Cache-Status", "umbral; fwd=uri-miss; stored")
		w.WriteHeader(http.StatusEarlyHints)
	}
	fmt.Fprint(w, body)
}

func theSite() string { return "site.test" }

// warmed runs a job to its end.
func warmed(t *testing.T, m *Warmer, q WarmRequest) WarmJob {
	t.Helper()
	job, err := m.Start(q)
	if err != nil {
		t.Fatal(err)
	}
	m.wg.Wait()
	job, ok := m.Job(job.ID)
	if !ok || job.Finished == nil {
		t.Fatalf("%+v", job)
	}
	return job
}

func TestWarm_urls(t *testing.T) {
	s := &site{pages: map[string]string{"site.test/a?b=1": "x", "site.test/hit": "x", "other.test/c": "x"}}
	m := NewWarmer(WarmOptions{Handler: s, Site: theSite})
	defer m.Close()
	job := warmed(t, m, WarmRequest{URLs: []string{"/a?b=1", "http://site.test/a?b=1", "/hit", "https://other.test/c", "/gone", "/panic"}})
	if job.State != "done" || job.Total != 5 || job.Done != 5 || job.OK != 3 || job.Failed != 2 ||
		!reflect.DeepEqual(job.Cache, map[string]int{"hit": 1, "stored": 2}) {
		t.Errorf("%+v", job)
	}
	slices.SortFunc(job.Errors, func(a, b WarmError) int { return strings.Compare(a.URL, b.URL) })
	if want := []WarmError{{URL: "site.test/gone", Status: 404}, {URL: "site.test/panic", Error: errWarmPanic.Error()}}; !reflect.DeepEqual(job.Errors, want) {
		t.Errorf("%+v", job.Errors)
	}
}

func gz(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(s))
	z.Close()
	return b.String()
}

func TestWarm_sitemap_index(t *testing.T) {
	s := &site{pages: map[string]string{
		"site.test/sitemap.xml": `<?xml version="1.0"?><sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
			<sitemap><loc>http://site.test/one.xml</loc><lastmod>2026</lastmod></sitemap>
			<sitemap><loc> https://site.test/two.xml.gz </loc></sitemap>
			<sitemap><loc>http://evil.test/three.xml</loc></sitemap></sitemapindex>`,
		"site.test/one.xml": `<urlset xmlns:image="i"><url><loc>http://site.test/a</loc><image:image><image:loc>http://site.test/i.png</image:loc></image:image></url>
			<url><loc>http://site.test/b?x=1&amp;y=2</loc></url><url><loc>http://evil.test/c</loc></url><url><loc>not a URL</loc></url></urlset>`,
		"site.test/two.xml.gz": gz(`<urlset><url><loc>https://site.test/a</loc></url><url><loc>https://site.test/d</loc></url></urlset>`),
		"site.test/a":          "a", "site.test/b?x=1&y=2": "b", "site.test/d": "d",
	}}
	m := NewWarmer(WarmOptions{Handler: s, Site: theSite})
	defer m.Close()
	job := warmed(t, m, WarmRequest{Sitemap: "/sitemap.xml", Concurrency: 1})
	if job.State != "done" || job.Total != 3 || job.OK != 3 || job.Skipped != 3 || job.Detail != "" {
		t.Errorf("%+v", job)
	}
	want := []string{"site.test/sitemap.xml", "site.test/one.xml", "site.test/two.xml.gz", "site.test/a", "site.test/b?x=1&y=2", "site.test/d"}
	if !reflect.DeepEqual(s.asked, want) {
		t.Errorf("asked %v", s.asked)
	}
}

func TestWarm_takes_the_site_from_where_it_is_known(t *testing.T) {
	const here, elsewhere = `<urlset><url><loc>http://app:8000/a</loc></url></urlset>`, `<urlset><url><loc>https://www.site.test/a</loc></url></urlset>`
	for _, tt := range []struct{ name, sitemap, body, want string }{
		{"the app's own address", "http://app:8000/sitemap.xml", here, "site.test/a"},
		{"the app's own address in the sitemap", "/sitemap.xml", here, "site.test/a"},
		{"a sitemap by its path that names the site", "/sitemap.xml", elsewhere, "www.site.test/a"},
		{"a sitemap by its URL that names another site", "http://site.test/sitemap.xml", elsewhere, ""},
	} {
		s := &site{pages: map[string]string{"site.test/sitemap.xml": tt.body, "site.test/a": "a", "www.site.test/a": "a"}}
		m := NewWarmer(WarmOptions{Handler: s, Site: theSite, Apps: []string{"app:8000"}})
		job := warmed(t, m, WarmRequest{Sitemap: tt.sitemap})
		want := []string{"site.test/sitemap.xml"}
		if tt.want != "" {
			want = append(want, tt.want)
		}
		if job.State != "done" || job.Failed != 0 || !reflect.DeepEqual(s.asked, want) {
			t.Errorf("%s: asked %v, %+v", tt.name, s.asked, job)
		}
		m.Close()
	}
}

func TestWarm_bad_sitemaps(t *testing.T) {
	deep := strings.Repeat("<a>", 50)
	for name, tt := range map[string]struct{ body, want string }{
		"missing":                  {"", "the answer is 404"},
		"a page":                   {"<html><body>x</body></html>", "neither a sitemap nor"},
		"empty":                    {" ", "neither a sitemap nor"},
		"cut off":                  {"<urlset><url>", "malformed XML"},
		"not gzip after all":       {"\x1f\x8b\x00", "/sitemap.xml: "},
		"deep":                     {"<urlset>" + deep, "nested too deep"},
		"entities":                 {`<!DOCTYPE x [<!ENTITY a "aaaa">]><urlset><url><loc>&a;</loc></url></urlset>`, "malformed XML"},
		"an index within an index": {`<sitemapindex><sitemap><loc>http://site.test/sitemap.xml</loc></sitemap></sitemapindex>`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := &site{pages: map[string]string{}}
			if tt.body != "" {
				s.pages["site.test/sitemap.xml"] = tt.body
			}
			m := NewWarmer(WarmOptions{Handler: s})
			defer m.Close()
			job := warmed(t, m, WarmRequest{Sitemap: "http://site.test/sitemap.xml"})
			if failed := job.State == "failed"; failed != (tt.want != "") || !strings.Contains(job.Detail, tt.want) {
				t.Errorf("%+v", job)
			}
			if len(s.asked) > 2 {
				t.Errorf("asked %v", s.asked)
			}
		})
	}
}

func TestWarm_keeps_to_its_concurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{pages: map[string]string{}, hold: make(chan struct{})}
		m := NewWarmer(WarmOptions{Handler: s, Site: theSite})
		var urls []string
		for i := range 40 {
			urls = append(urls, fmt.Sprint("/", i))
		}
		job, err := m.Start(WarmRequest{URLs: urls, Concurrency: 3})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got, _ := m.Job(job.ID); s.most != 3 || got.State != "running" || got.Done != 0 {
			t.Errorf("%d at once, %+v", s.most, got)
		}
		close(s.hold)
		synctest.Wait()
		if got, _ := m.Job(job.ID); s.most != 3 || got.State != "done" || got.Done != 40 || len(got.Errors) != maxWarmErrors {
			t.Errorf("%d at once, %+v", s.most, got)
		}
		m.Close()
	})
}

func TestWarm_gives_up_on_a_slow_page(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewWarmer(WarmOptions{Handler: &site{hold: make(chan struct{})}, Site: theSite, Patience: time.Second})
		job := warmed(t, m, WarmRequest{URLs: []string{"/slow"}})
		if job.Failed != 1 || job.Errors[0].Error != "context deadline exceeded" {
			t.Errorf("%+v", job)
		}
		m.Close()
	})
}

func TestWarm_stops_when_closed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewWarmer(WarmOptions{Handler: &site{hold: make(chan struct{})}, Site: theSite})
		job, err := m.Start(WarmRequest{URLs: []string{"/a", "/b", "/c", "/d", "/e", "/f"}})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		m.Close()
		if got, _ := m.Job(job.ID); got.State != "stopped" || got.Done >= 6 {
			t.Errorf("%+v", got)
		}
		if _, err := m.Start(WarmRequest{URLs: []string{"/a"}}); err != errWarmClosed {
			t.Error(err)
		}
	})
}

func TestWarm_has_a_limit_of_jobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{hold: make(chan struct{})}
		m := NewWarmer(WarmOptions{Handler: s, Site: theSite})
		q := WarmRequest{URLs: []string{"/a"}}
		for range maxWarmRunning {
			if _, err := m.Start(q); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := m.Start(q); err != errWarmBusy {
			t.Error(err)
		}
		close(s.hold)
		synctest.Wait()
		for range 2 * maxWarmJobs {
			if _, err := m.Start(q); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if n := len(m.jobs); n > maxWarmJobs {
			t.Errorf("%d jobs kept", n)
		}
		m.Close()
	})
}

func TestWarm_call(t *testing.T) {
	o := newFake().options()
	o.Warm = NewWarmer(WarmOptions{Handler: &site{}})
	defer o.Warm.Close()
	h := New(o)
	w := ask(h, "POST", "/v1/warm", `{"urls":["http://site.test/a"],"concurrency":2}`)
	var job WarmJob
	if err := json.Unmarshal(w.Body.Bytes(), &job); err != nil || w.Code != 202 || w.Header().Get("Location") != "/v1/warm/"+job.ID {
		t.Fatal(w.Code, w.Body)
	}
	if w := ask(h, "GET", "/v1/warm/"+job.ID, ""); w.Code != 200 {
		t.Error(w.Code, w.Body)
	}
	if w := ask(h, "GET", "/v1/warm/w99", ""); w.Code != 404 {
		t.Error(w.Code, w.Body)
	}
	for body, want := range map[string]string{
		`{}`:                                   "nothing to warm",
		`{"urls":["/a"]}`:                      "urls[0]: needs a full URL",
		`{"urls":["http://a/"],"sitemap":"b"}`: "not both",
		`{"sitemap":"ftp://a/"}`:               "sitemap: must be a URL",
		`{"urls":["http://a/"],"concurrency":65}`: "concurrency: must be from 1 to 64",
		`{"site":"/"}`: `unknown field \"site\"`,
	} {
		w := ask(h, "POST", "/v1/warm", body)
		if w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

func FuzzSitemap(f *testing.F) {
	f.Add([]byte(`<urlset><url><loc>http://a/</loc></url></urlset>`))
	f.Add([]byte(`<sitemapindex><sitemap><loc>/x</loc></sitemap></sitemapindex>`))
	f.Add([]byte(`<urlset></a>`))
	f.Fuzz(func(t *testing.T, text []byte) {
		pages, files, err := parseSitemap(bytes.NewReader(text))
		if err != nil && len(pages)+len(files) > 0 || len(pages) > 0 && len(files) > 0 {
			t.Errorf("%d pages, %d files, %v", len(pages), len(files), err)
		}
	})
}
