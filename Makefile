GO   ?= go
LINT  = $(GO) tool -modfile=tools/go.mod golangci-lint

.DEFAULT_GOAL := help
.PHONY: help run build test check go-test fault-matrix generate fmt parts

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## serve, with everything embedded
	$(GO) run .

build: ## build ./galaxygate
	$(GO) build -trimpath -o galaxygate .

test: parts check go-test ## every test, installing what it needs
	@scripts/parts.sh report

check: ## generated code, go.mod, vet and linters
	scripts/fresh.sh
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(LINT) run ./...

go-test: ## go test -race ./...
	$(GO) test -race ./...

fault-matrix: ## the tests of docs/fault-matrix.md alone
	$(GO) test -race -v -run 'TestFaultMatrix|AwayForLong|RestartedDuringARefresh' ./internal/e2e

parts: ## install PostgreSQL, Chromium and Node.js packages for the tests
	@scripts/parts.sh install

generate: ## write the generated code anew
	$(GO) generate ./...

fmt: ## format the code
	$(LINT) fmt ./...
