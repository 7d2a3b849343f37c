# Sotesilta. Go, git and make are the only prerequisites; `make test` installs the rest.

# Import paths of the packages whose tests live in the store: they run without the race detector.
STORE := ^sotesilta/(gateway|gateway/exchange|gateway/sandbox|gateway/store(/.*)?|test(/.*)?)$$
# Bounds of the runs.
TIMEOUT  := 20m
FUZZTIME := 30s
# Flags of the load benchmark (go run ./test/load/bench --help).
BENCH    :=

.PHONY: test prepare lint format unit bench soak fuzz build vulnerabilities clean

test: prepare lint unit ## everything

prepare: ## what a bare Debian machine lacks
	@scripts/prepare

lint: ## gofumpt, go vet, staticcheck
	@scripts/lint

format: ## formats what lint asks for
	go run mvdan.cc/gofumpt@v0.12.0 -w $$(git ls-files --cached --others --exclude-standard '*.go')

unit: ## every test, without preparing and linting
	@STORE='$(STORE)' TIMEOUT='$(TIMEOUT)' scripts/test

bench: prepare ## load and micro benchmarks, as ratios in one run; BENCH='--json --only reads' narrows the load
	go run ./test/load/bench $(BENCH)
	go test -p 1 -run '^$$' -bench . -benchmem -timeout 60m ./...

soak: prepare ## the long suites
	go test -p 1 -tags soak -run Soak -v -timeout 6h ./...

fuzz: ## every fuzz target for FUZZTIME
	@FUZZTIME='$(FUZZTIME)' scripts/fuzz

build: ## bin/sotesilta, one static file
	CGO_ENABLED=0 go build -trimpath -tags timetzdata -ldflags '-s -w' -o bin/sotesilta ./gateway

vulnerabilities: ## known ones in what is used; needs the vulnerability database
	go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

clean:
	rm -rf bin tmp
