package bridge_test

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// nodeDir holds the conformance suite and Node.
const nodeDir = "../story/node"

// conformance is what the suite must find: how many checks pass in each scenario, for each revision in which it
// is required (and for 2025-03-26, where only the ways around missing metadata differ).
func conformance() map[string]map[string]int {
	return map[string]map[string]int{
		"2025-03-26": {
			"auth/2025-03-26-oauth-metadata-backcompat": 13,
			"auth/2025-03-26-oauth-endpoint-fallback":   8,
		},
		"2025-11-25": {
			"initialize":                          1,
			"tools_call":                          2,
			"elicitation-sep1034-client-defaults": 5,
			"sse-retry":                           3,
			"json-schema-2020-12-preservation":    9,
			"auth/metadata-default":               19,
			"auth/metadata-var1":                  19,
			"auth/metadata-var2":                  19,
			"auth/metadata-var3":                  19,
			"auth/basic-cimd":                     14,
			"auth/scope-from-www-authenticate":    15,
			"auth/scope-from-scopes-supported":    15,
			"auth/scope-omitted-when-undefined":   15,
			"auth/scope-step-up":                  23,
			"auth/scope-retry-limit":              22,
			"auth/token-endpoint-auth-basic":      20,
			"auth/token-endpoint-auth-post":       20,
			"auth/token-endpoint-auth-none":       20,
			"auth/pre-registration":               14,
		},
		"2026-07-28": {
			"tools_call":                          2,
			"request-metadata":                    7,
			"sep-2322-client-request-state":       5,
			"http-standard-headers":               9,
			"http-custom-headers":                 18,
			"http-invalid-tool-headers":           12,
			"json-schema-ref-no-deref":            1,
			"json-schema-2020-12-preservation":    9,
			"auth/metadata-default":               18,
			"auth/metadata-var1":                  18,
			"auth/metadata-var2":                  18,
			"auth/metadata-var3":                  18,
			"auth/basic-cimd":                     12,
			"auth/scope-from-www-authenticate":    14,
			"auth/scope-from-scopes-supported":    14,
			"auth/scope-omitted-when-undefined":   14,
			"auth/scope-step-up":                  25,
			"auth/scope-retry-limit":              21,
			"auth/token-endpoint-auth-basic":      19,
			"auth/token-endpoint-auth-post":       19,
			"auth/token-endpoint-auth-none":       19,
			"auth/pre-registration":               12,
			"auth/resource-mismatch":              3,
			"auth/offline-access-scope":           12,
			"auth/offline-access-not-supported":   14,
			"auth/authorization-server-migration": 27,
			"auth/iss-supported":                  14,
			"auth/iss-not-advertised":             14,
			"auth/iss-supported-missing":          15,
			"auth/iss-wrong-issuer":               15,
			"auth/iss-unexpected":                 15,
			"auth/iss-normalized":                 15,
			"auth/metadata-issuer-mismatch":       5,
		},
	}
}

// notApplicable are the scenarios that a bridge can't pass, each with the reason.
func notApplicable() map[string]string {
	const noPerson = "there is no person to sign in: the bridge acts for whoever sits at the MCP client"
	const noDPoP = "an optional extension (SEP-1932): neither Genkan nor Entra gives out DPoP-bound tokens"
	const noSkills = "an optional extension (SEP-2640): what to fetch is the MCP client's choice, and the bridge only carries it"
	return map[string]string{
		"auth/client-credentials-jwt":           noPerson,
		"auth/client-credentials-basic":         noPerson,
		"auth/wif-jwt-bearer":                   noPerson,
		"auth/enterprise-managed-authorization": "an optional extension: Entra issues no identity assertion grants (ID-JAG)",
		"auth/dpop":                             noDPoP,
		"auth/dpop-nonce":                       noDPoP,
		"sep-2640-client-no-prefetch":           noSkills,
		"sep-2640-client-verify-digest":         noSkills,
		"sep-2640-client-verify-size":           noSkills,
		"sep-2640-client-verify-frontmatter":    noSkills,
	}
}

// suite runs the conformance suite.
func suite(t *testing.T, arguments ...string) (output string, err error) {
	t.Helper()
	node, err := filepath.Abs(filepath.Join(nodeDir, "node_modules/.bin/node"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(node); err != nil {
		t.Fatalf("Node is not there: run `npm ci` in internal/story/node (make prepare does it): %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, append([]string{"node_modules/.bin/conformance"}, arguments...)...)
	cmd.Dir = nodeDir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestConformanceNamesEveryScenario(t *testing.T) {
	out, err := suite(t, "list", "--client")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	listed := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^  - (\S+) \[`).FindAllStringSubmatch(out, -1) {
		listed[line[1]] = true
	}
	known := map[string]bool{}
	for _, scenarios := range conformance() {
		for name := range scenarios {
			known[name] = true
		}
	}
	for name := range notApplicable() {
		known[name] = true
	}
	if diff := cmp.Diff(listed, known); diff != "" {
		t.Errorf("the suite has (-) and we know (+):\n%s", diff)
	}
}

// The suite's client mode, on the bridge: exact totals, because a client that does nothing passes many checks.
func TestConformanceOfTheBridge(t *testing.T) {
	adapter := build(t, "./testdata/adapter")
	t.Setenv("GENKAN", build(t, "../../cmd/genkan"))
	for _, revision := range slices.Sorted(maps.Keys(conformance())) {
		scenarios := conformance()[revision]
		for _, name := range slices.Sorted(maps.Keys(scenarios)) {
			t.Run(revision+"/"+name, func(t *testing.T) {
				// One after the other: under load, in parallel, even good clients fail.
				out, err := suite(t, "client", "--command", adapter, "--scenario", name, "--spec-version", revision)
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				want := "Passed: " + counts(scenarios[name])
				if got := regexp.MustCompile(`Passed: .*`).FindString(out); got != want {
					t.Errorf("got %q, want %q\n%s", got, want, tail(out))
				}
			})
		}
	}
}

func counts(n int) string {
	return strings.ReplaceAll("N/N, 0 failed, 0 warnings", "N", itoa(n))
}

func tail(s string) string { return s[max(0, len(s)-4000):] }
