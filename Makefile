# The commands of the project. `make help` lists them.
GO ?= go
GOLANGCI_LINT = $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 20s

.PHONY: help dev build test lint vuln fuzz bench conformance prepare clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: ## run everything on loopback, with the dev tenant and two sample servers
	$(GO) run ./cmd/genkan dev

build: ## build bin/genkan
	$(GO) build -trimpath -o bin/genkan ./cmd/genkan

prepare: ## install what the tests need (Debian and npm packages)
	@.ci/prepare

test: prepare ## run every test, with the race detector
	$(GO) test -race -shuffle=on -timeout 20m ./...

lint: ## vet, format and lint
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt-ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GOLANGCI_LINT) run

vuln: ## look for known vulnerabilities (needs the vulnerability database on the network)
	$(GO) run golang.org/x/vuln/cmd/govulncheck@latest ./...

fuzz: ## run each fuzz target for FUZZTIME (default 20s)
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; \
	done

bench: prepare ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

conformance: prepare build ## run the official MCP conformance suite against the built binary
	$(GO) test -count=1 -v -run Conformance ./internal/story/... ./internal/bridge/...

clean: ## remove what was built
	rm -rf bin dist
