package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

// memoryStats are the memory tier's figures.
type memoryStats struct {
	Entries                     int
	Bytes, Limit, PersonalBytes int64
}

func (e *edge) memoryStats() memoryStats {
	var stats struct {
		Memory struct {
			Entries       int
			Bytes, Limit  int64
			PersonalBytes int64 `json:"personal_bytes"`
		}
	}
	e.admin("GET", "/v1/stats", nil, &stats)
	return memoryStats(stats.Memory)
}

// TestPersonalPagesTakeAQuarterAtMost fills the tier with public pages, then
// with one person's: these take their quarter and no more, and the public ones
// keep the rest.
func TestPersonalPagesTakeAQuarterAtMost(t *testing.T) {
	redis := storetest.StartRedis(t)
	pages := startPages(t, 1000)
	pages.pad = strings.Repeat("x", 16<<10)
	e := startEdge(t, pages.URL, redisURL(redis), fleetRoutes, "MEMORY_CACHE_BYTES=8MiB", "ACCESS_LOG=off")
	e.stock(800, 4) // 13 MB of public pages
	v := e.browser()
	v.get("/in/ana")
	for i := range 600 { // 10 MB of her own
		if a := v.get(fmt.Sprint("/mine/", i)); a.StatusCode != 200 || !strings.Contains(a.Body, "user=ana") {
			t.Fatalf("%d %.60q", a.StatusCode, a.Body)
		}
	}
	e.eventually("the tier to settle", func() bool {
		m := e.memoryStats()
		return m.Bytes <= m.Limit && m.PersonalBytes <= m.Limit/4
	})
	m := e.memoryStats()
	t.Logf("%+v", m)
	if m.PersonalBytes < m.Limit/8 || m.Bytes-m.PersonalBytes < m.Limit/2 {
		t.Errorf("the tier is not used: %+v", m)
	}
}

// TestMemoryStaysInItsBound offers many times more small pages than the tier
// holds, and looks at what the process takes.
func TestMemoryStaysInItsBound(t *testing.T) {
	redis := storetest.StartRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru")
	app := startStoppable(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<p>"+r.URL.Path+strings.Repeat(" small page", 20))
	}))
	e := startEdge(t, app.URL, redisURL(redis), fleetRoutes, fmt.Sprint("MEMORY_CACHE_BYTES=", boundedTier), "ACCESS_LOG=off", "REDIS_TIMEOUT=20s")
	e.stock(offeredPages, 32)
	m := e.memoryStats()
	most, now := residentBytes(t, e.cmd.Process.Pid)
	t.Logf("%d pages offered to %d MiB: %d held in %d MiB; resident %d MiB, at most %d MiB (%.2f times the tier)",
		offeredPages, boundedTier>>20, m.Entries, m.Bytes>>20, now>>20, most>>20, float64(most)/boundedTier)
	if m.Bytes > m.Limit*101/100 || m.Entries == 0 || m.Entries >= offeredPages {
		t.Errorf("%+v", m)
	}
	if bound := int64(boundedTier*3/2 + residentExtra); most > bound {
		t.Errorf("resident %d MiB, bound %d MiB", most>>20, bound>>20)
	}
}

// residentBytes is what a process has and had at most of the machine's memory.
func residentBytes(t *testing.T, pid int) (most, now int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &most)
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &now)
	}
	if most == 0 {
		t.Fatal("the system does not say")
	}
	return most << 10, now << 10
}
