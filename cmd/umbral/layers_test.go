package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImportsGoOnlyDownward holds the house's rooms apart (CONTRIBUTING.md).
func TestImportsGoOnlyDownward(t *testing.T) {
	allowed := map[string][]string{
		"umbral/cachepolicy":           nil,
		"umbral/config":                {"umbral/cachepolicy"},
		"umbral/sessions":              {"umbral/cachepolicy"},
		"umbral/proxy/store":           {"umbral/cachepolicy"},
		"umbral/proxy/store/storetest": {"umbral/cachepolicy", "umbral/proxy/store"},
		"umbral/proxy/esi":             {"umbral/cachepolicy"},
		"umbral/proxy":                 {"umbral/cachepolicy", "umbral/proxy/store", "umbral/proxy/esi", "umbral/sessions"},
		"umbral/proxy/admin":           {"umbral/cachepolicy", "umbral/proxy", "umbral/proxy/store", "umbral/sessions"},
		"umbral/deploy/certapp":        nil,
	}
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "umbral/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		may, held := allowed[fields[0]]
		if !held {
			continue
		}
		seen++
		for _, imported := range fields[1:] {
			if !strings.HasPrefix(imported, "umbral/") {
				continue
			}
			ok := false
			for _, a := range may {
				ok = ok || a == imported
			}
			if !ok {
				t.Errorf("%s imports %s", fields[0], imported)
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d packages were looked at", seen)
	}
}
