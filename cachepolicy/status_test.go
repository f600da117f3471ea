package cachepolicy

import (
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
)

func TestStatus(t *testing.T) {
	for _, row := range []struct {
		status Status
		want   string
	}{
		{Status{Hit: true, HasTTL: true, TTL: 30 * time.Second}, "umbral; hit; ttl=30"},
		{Status{Hit: true, HasTTL: true, TTL: 999 * time.Millisecond}, "umbral; hit; ttl=0"},
		{Status{Hit: true, HasTTL: true, TTL: -1}, "umbral; hit; ttl=-1"},
		{Status{Hit: true, HasTTL: true, TTL: -2 * time.Second}, "umbral; hit; ttl=-2"},
		{Status{Hit: true, Fwd: FwdMiss}, "umbral; hit"},
		{Status{Fwd: FwdURIMiss, Stored: true, Detail: NotStored}, "umbral; fwd=uri-miss; stored; detail=nothing-stored"},
		{Status{Fwd: FwdStale, FwdStatus: 304, Stored: true, Collapsed: true, HasTTL: true, TTL: time.Minute}, "umbral; fwd=stale; fwd-status=304; stored; collapsed; ttl=60"},
		{Status{Fwd: FwdBypass, Detail: RouteOff}, "umbral; fwd=bypass; detail=route-off"},
		{Status{Fwd: FwdMethod, Detail: UncacheableMethod}, "umbral; fwd=method; detail=uncacheable-method"},
		{Status{}, "umbral"},
	} {
		if got := row.status.String(); got != row.want {
			t.Errorf("%+v = %q, want %q", row.status, got, row.want)
		}
	}
}

// TestStatusIsStructured: 9211 §2, the field is a List.
func TestStatusIsStructured(t *testing.T) {
	names := map[string]bool{}
	for _, reason := range Reasons() {
		name := reason.String()
		if name == "" || names[name] {
			t.Errorf("reason %d: %q", reason, name)
		}
		names[name] = true
		for fwd := FwdBypass; fwd <= FwdPartial; fwd++ {
			text := Status{Fwd: fwd, FwdStatus: 200, HasTTL: true, TTL: -time.Hour, Stored: true, Collapsed: true, Detail: reason}.String()
			if _, err := httpsfv.UnmarshalList([]string{text}); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
	if Reason(255).String() != "unknown" || None.String() != "none" || Fwd(99).String() != "" {
		t.Error("names out of range")
	}
}
