# What one runs here is what CI runs, by the same names.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Tools are built from source, pinned, outside of the checkout.
export FLOEBERG_TOOLS ?= $(HOME)/.cache/floeberg-tools

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.version=$(VERSION)
BIN     := bin/floeberg

# Tests that start processes run apart from the others: one after the other,
# on a machine that does nothing else.
PROCESS_TESTS := ./test/cluster ./test/faults ./test/scale ./test/conformance
# Where goroutines meet; the race detector slows what runs, so the rest is left out.
RACE := ./api/... ./cluster/... ./fsm/... ./internal/app/... ./internal/archive/... ./internal/backup/... ./internal/catalog/... ./internal/identity/... ./internal/restore/... ./internal/secret/... ./internal/storage/... ./ops/...

.PHONY: help
help: ## Say what there is
	@sed -nE 's/^([a-z]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

.PHONY: run
run: build ## Three nodes on this machine, to play with; Ctrl-C ends them
	$(BIN) dev

.PHONY: build
build: ## The program, static and stripped, in bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/floeberg

.PHONY: check
check: format vet lint ## The fast inner loop: format, vet, lint, unit tests
	CGO_ENABLED=0 go test -short -timeout 5m ./...

.PHONY: test
test: format vet lint generated unit race processes ## Everything that guards the product

.PHONY: format
format:
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted (gofmt -w):" $$unformatted; exit 1; fi

.PHONY: vet
vet:
	CGO_ENABLED=0 go vet ./...

.PHONY: lint
lint:
	@linter=$$(test/tools/golangci-lint.sh); CGO_ENABLED=0 "$$linter" run ./...

.PHONY: tools
tools: ## What the tests need, installed ahead of time
	@test/tools/golangci-lint.sh
	@test/tools/s3server.sh
	@test/tools/gcsserver.sh
	@test/tools/azurite.sh
	@test/tools/oidcserver.sh
	@test/tools/python.sh test/awskms/requirements.txt
	@test/tools/dex.sh
	@test/tools/python.sh test/conformance/pyiceberg/requirements.txt
	@test/tools/python.sh test/conformance/pyiceberg/requirements-old.txt
	@test/tools/python.sh test/conformance/schemathesis/requirements.txt
	@test/tools/compiler.sh
	@test/tools/haproxy.sh
	@test/tools/maven.sh test/conformance/rck/pom.xml
	@test/tools/maven.sh test/conformance/spark/pom.xml
	@test/tools/maven.sh test/conformance/trino/pom.xml
	@test/tools/python.sh test/conformance/spark/requirements.txt
	@test/tools/python.sh test/conformance/duckdb/requirements.txt

# A tool that is missing is a failure here, not a skipped test.
.PHONY: unit
unit: tools
	CGO_ENABLED=0 FLOEBERG_TOOLS_REQUIRED=1 go test -timeout 10m $$(go list ./... | grep -vE '/test/(cluster|conformance|faults|scale)$$')

.PHONY: race
race: tools
	CGO_ENABLED=1 FLOEBERG_TOOLS_REQUIRED=1 go test -race -short -timeout 15m $(RACE)

.PHONY: processes
processes: tools build
	CGO_ENABLED=0 FLOEBERG_TOOLS_REQUIRED=1 FLOEBERG_BIN=$(CURDIR)/$(BIN) \
		go test -v -count=1 -p 1 -timeout 30m $(PROCESS_TESTS)

.PHONY: chaos
chaos: tools build ## Faults of all kinds by chance, for CHAOS_FOR (10m)
	CGO_ENABLED=0 FLOEBERG_TOOLS_REQUIRED=1 FLOEBERG_BIN=$(CURDIR)/$(BIN) \
		go test -v -count=1 -timeout 0 ./test/faults -run '^TestChaos$$' -chaos $(or $(CHAOS_FOR),10m)

.PHONY: scale
scale: build ## Snapshot, new node and restore with SCALE_TABLES (1000000) tables, while commits go on
	CGO_ENABLED=0 SCALE_TABLES=$(or $(SCALE_TABLES),1000000) FLOEBERG_BIN=$(CURDIR)/$(BIN) \
		go test -v -count=1 -timeout 6h ./test/scale

.PHONY: bench
bench: build ## Commits and loads per second against three processes on this machine
	FLOEBERG_BIN=$(CURDIR)/$(BIN) go test -run '^$$' -bench . -benchtime 10s -timeout 20m ./test/cluster

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZTIME (30s) each
	test/tools/fuzz.sh $(or $(FUZZTIME),30s)

# Not a part of test: what is known changes without us, and it needs the database, from
# the network or a copy of it (VULNDB=file:///…).
.PHONY: vulnerabilities
vulnerabilities: ## What is known to be vulnerable of what the program calls
	@checker=$$(test/tools/govulncheck.sh); CGO_ENABLED=0 "$$checker" $(if $(VULNDB),-db '$(VULNDB)') ./...

.PHONY: generate
generate: ## What is generated from the .proto files
	test/tools/protoc.sh

# Whoever changes a .proto file and forgets to generate learns it here.
.PHONY: generated
generated:
	@if command -v protoc >/dev/null; then test/tools/protoc.sh --check; \
	else echo "protoc is not installed: generated files are not compared"; fi

.PHONY: clean
clean: ## What was built in the checkout
	rm -rf bin
