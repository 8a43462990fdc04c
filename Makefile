# make test   everything CI runs; installs the Debian packages it needs
# make demo   the main job, played on real systems
# make bench  throughput beside the bare limits of this machine
# make update rewrites golden files; read the diff before committing it

GO      ?= go
PKGS     = ./...
GOFLAGS := -p=2
export GOFLAGS

.PHONY: test deps tools lint unit demo bench update build

test: deps tools lint unit

# What the tests start as real servers. Nothing is installed that is there.
deps:
	@scripts/deps

# And what no package brings: built once, into tools/bin.
tools:
	@GO='$(GO)' scripts/tools

lint:
	@test -z "$$(gofmt -l .)" || { echo "gofmt these:"; gofmt -l .; exit 1; }
	$(GO) vet $(PKGS)

# The race detector makes random lives slow, so all of them are lived without it.
# Stories drive the program as it is shipped; everything in it is raced package
# by package.
unit:
	$(GO) test -timeout 5m .
	$(GO) test -timeout 15m ./cmd/... ./examples/...
	$(GO) test -race -timeout 15m $$($(GO) list $(PKGS) | grep -v -e /cmd/ -e /examples)

demo:
	$(GO) run ./cmd/writ demo

bench:
	@scripts/bench

update:
	$(GO) test $(shell grep -rl --include='*_test.go' '"update"' . | xargs -n1 dirname | sort -u) -update

build:
	$(GO) build -trimpath -ldflags=-s -o bin/writ ./cmd/writ
