GO   ?= go
LINT  = $(GO) tool -modfile=$(CURDIR)/tools/go.mod golangci-lint

.DEFAULT_GOAL := help
.PHONY: help run build test check examples go-test fuzz soak-refresh crash-matrix fault-matrix bench generate fmt parts

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## serve, with everything embedded
	$(GO) run .

build: ## build ./galaxygate
	$(GO) build -trimpath -o galaxygate .

test: parts check examples fuzz go-test ## every test, installing what it needs
	@scripts/parts.sh report

check: ## generated code, go.mod, and linters, go vet's among them
	scripts/fresh.sh
	$(GO) mod tidy -diff
	$(LINT) run ./...

examples: ## the sample apps: what check checks, the native one's tests, the single-page one's types
	cd examples/native && $(GO) mod tidy -diff && $(LINT) run ./... && $(GO) test -race -vet=off ./...
	test ! -d examples/spa/node_modules || npm --prefix examples/spa run check

go-test: ## go test -race ./..., and without it what it cannot run; check has vetted them
	$(GO) test -race -vet=off -timeout 20m ./...
	$(GO) test -vet=off -run 'AnyHistory|WaitsInVain' ./internal/grant

fuzz: ## every fuzz target for FUZZ_SECONDS (10); 0 is none, but not where CI is set
	scripts/fuzz.sh $(or $(FUZZ_SECONDS),10)

soak-refresh: parts ## 10,000 token expiries before three replicas, in about an hour; writes docs/soak-refresh.md
	E2E_RACE=off SOAK_EXPIRIES=$(or $(SOAK_EXPIRIES),10000) SOAK_REPORT=$(CURDIR)/docs/soak-refresh.md \
		$(GO) test -count=1 -v -timeout 3h -run '^TestSoak' ./internal/e2e

crash-matrix: parts ## kill -9 at each point of a refresh, 20 times for each row of docs/crash-matrix.md
	CRASH_KILLS=$(or $(CRASH_KILLS),20) $(GO) test -race -count=1 -v -timeout 2h -run '^TestCrash' ./internal/e2e

fault-matrix: parts ## the tests of docs/fault-matrix.md alone
	$(GO) test -race -count=1 -v -run 'TestFaultMatrix|AwayForLong|RestartedDuringARefresh' ./internal/e2e

bench: ## cost beside a reverse proxy's, in about 5 minutes; writes docs/benchmarks.md. BENCH_SECONDS, BENCH_ONLY=A,E, BENCH_PROFILE=directory
	$(GO) run ./internal/bench -round $(or $(BENCH_SECONDS),5)s -only "$(BENCH_ONLY)" -profile "$(BENCH_PROFILE)" \
		-report "$(or $(BENCH_REPORT),$(if $(BENCH_ONLY),,docs/benchmarks.md))"

parts: ## install PostgreSQL, Redis, Chromium and Node.js packages for the tests
	@scripts/parts.sh install

generate: ## write the generated code anew
	$(GO) generate ./...

fmt: ## format the code
	$(LINT) fmt ./...
