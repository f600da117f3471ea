package config

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "30s": 30 * time.Second, "15m": 15 * time.Minute, "1h30m": 90 * time.Minute,
		"1d": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "1d12h": 36 * time.Hour, "1.5h": 90 * time.Minute, "500ms": 500 * time.Millisecond,
	} {
		got, err := ParseDuration(in)
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v", in, got, err)
		}
		if err == nil {
			if back, err := ParseDuration(FormatDuration(got)); err != nil || back != got {
				t.Errorf("%s is written %s, which reads %v, %v", in, FormatDuration(got), back, err)
			}
		}
	}
	for _, in := range []string{"", "5", "-1s", "+1s", "1", "d", "1 d", "1d1", "1d-1h", "1.5d", "1w", "1h1d", "99999999999999h", "40000d", ".5h", "0x1s", "1e3s"} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("%q is read as %v", in, got)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for in, want := range map[time.Duration]string{
		0: "0s", -1: "app", time.Hour: "1h", 24 * time.Hour: "1d", 90 * time.Minute: "1h30m", 10 * time.Second: "10s", 100 * time.Hour: "100h",
	} {
		if got := FormatDuration(in); got != want {
			t.Errorf("%d: got %s, want %s", in, got, want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "4096": 4096, "10B": 10, "64KiB": 64 << 10, "8MiB": 8 << 20, "8 mib": 8 << 20, "1.5GiB": 3 << 29, "500MB": 500e6, "2kb": 2000,
	} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("%s: got %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "-1", "+1", "8M", "8 Mi", "MiB", "1.5", "1.5B", "1e3", "0x10", "1.KiB", ".5KiB", "99999999999999999999", "9999999TiB", "nanKiB", "infMiB"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("%q is read as %d", in, got)
		}
	}
}

func TestParseRate(t *testing.T) {
	for in, want := range map[string]Rate{
		"0": {}, "10/m": {10, time.Minute}, "5/s": {5, time.Second}, "100/h": {100, time.Hour}, "1/d": {1, 24 * time.Hour},
	} {
		got, err := ParseRate(in)
		if err != nil || got != want || got.String() != in {
			t.Errorf("%s: got %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "10", "/m", "10/", "0/m", "-1/m", "+1/m", "10/w", "10/1m", "1.5/m", "99999999999/m"} {
		if got, err := ParseRate(in); err == nil {
			t.Errorf("%q is read as %v", in, got)
		}
	}
}
