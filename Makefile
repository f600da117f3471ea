GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo none)
LDFLAGS  = -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
LINT     = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0

.DEFAULT_GOAL := help
.PHONY: help run test lint bench compare fuzz conformance soak e2e image clean

help:
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: bin/umbral ## the demo: one process, nothing to install
	bin/umbral demo

bin/umbral: FORCE
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/umbral

.PHONY: FORCE
FORCE:

test: ## every test that needs Go and a redis-server, under the race detector
	@.ci/need redis-server cc
	$(GO) vet ./...
	$(GO) test -race -timeout 20m ./...

lint: ## golangci-lint and the layers
	$(GO) run $(LINT) run --allow-parallel-runners ./...

bench: ## Go benchmarks, allocations guarded
	@.ci/need redis-server
	$(GO) test -run '^$$' -bench . -benchmem ./cachepolicy ./proxy/... ./sessions

compare: bin/umbral ## beside nginx, Varnish, HAProxy and a bare handler
	@.ci/need redis-server nginx varnishd haproxy wrk
	$(GO) run ./deploy/bench

fuzz: ## each fuzz target for FUZZTIME (10s)
	.ci/fuzz $(or $(FUZZTIME),10s)

conformance: ## the RFCs, case by case, through the real binary
	@.ci/need redis-server cc
	@$(GO) test -count=1 -v -run '^TestRFC' ./cmd/umbral/e2e | \
	awk '/^conformance:/ {line=$$0; next} /^FAIL/ {bad=1} !/^=== |--- PASS|^PASS|^ok / {print} END {print line; exit bad || !line}'

# The checkers for CHECKER each, and what is as large as the documents say:
# 100,000 pages under one tag, 1,000,000 pages offered to memory (SOAK=Memory).
soak:
	@.ci/need redis-server
	CHECKER=$(or $(CHECKER),20s) $(GO) test -count=1 -tags soak -timeout 30m -v -run '$(or $(SOAK),Checker|PurgeOfMany|UpstreamsDie)' ./cmd/umbral/e2e

e2e: ## a real Django and a real Chromium with the real binary
	@.ci/need redis-server cc django chromium chromedriver curl
	$(GO) test -race -tags e2e -timeout 15m -run 'Django|Chromium|Demo' ./cmd/umbral/e2e

image: ## the container
	docker build -f deploy/Dockerfile --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) -t umbral:$(VERSION) .

clean: ## what was built
	rm -rf bin dist
