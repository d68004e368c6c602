package entratest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/entratest"
)

// testsOfThisPackage lists the names of the tests in this folder.
func testsOfThisPackage(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}

// knownCodes lists the AADSTS numbers in the code.
func knownCodes(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile("aadsts.go")
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, m := range regexp.MustCompile(`(?m)^\t(\d+):\s+\{oauth`).FindAllStringSubmatch(string(source), -1) {
		codes = append(codes, m[1])
	}
	return codes
}

func TestEveryRowOfTheParityTableIsHeld(t *testing.T) {
	raw, err := os.ReadFile("../docs/entra-parity.md")
	if err != nil {
		t.Fatal(err)
	}
	table, tests, rows := string(raw), testsOfThisPackage(t), 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) != 3 || strings.Contains(line, "---") || strings.HasPrefix(line, "| behaviour") {
			continue
		}
		rows++
		name := strings.Trim(strings.TrimSpace(cells[2]), "`")
		if !tests[name] {
			t.Errorf("no test is called %q: %s", name, line)
		}
		if strings.TrimSpace(cells[1]) == "" {
			t.Errorf("a row without a source: %s", line)
		}
	}
	if rows < 90 {
		t.Errorf("%d rows were read; the table must have been written in another form", rows)
	}
	for _, code := range knownCodes(t) {
		if !regexp.MustCompile(`(^|\D)` + code + `(\D|$)`).MatchString(table) {
			t.Errorf("AADSTS%s is in the code and in no row", code)
		}
	}
}

func TestEveryRefusalOnDemand(t *testing.T) {
	tenant := entratest.Start(t)
	codes := knownCodes(t)
	if len(codes) < 60 {
		t.Fatalf("only %d refusals were found", len(codes))
	}
	for _, text := range codes {
		code, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		tenant.FailNext(entratest.Fault{Path: "/token", Code: code})
		got := post(t, tenant, tokenPath, refreshForm("x"))
		status := http.StatusBadRequest
		switch {
		case got.str("error") == "invalid_client":
			status = http.StatusUnauthorized
		case got.str("error") == "temporarily_unavailable":
			status = map[int]int{90033: 503, 90055: 429}[code]
		}
		wantRefusal(t, got, status, got.str("error"), code)
		if want := tenant.URL + "/error?code=" + text; got.str("error_uri") != want {
			t.Errorf("error_uri %q, want %q", got.str("error_uri"), want)
		}
	}
}

func TestUnreadableRequests(t *testing.T) {
	tenant := entratest.Start(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tenant.URL+tokenPath, strings.NewReader("grant_type=%zz"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	wantRefusal(t, send(t, tenant, req), 400, "invalid_request", 9002313)
}

func TestDisabledApplication(t *testing.T) {
	tenant := entratest.Start(t)
	refresh := tokens(t, tenant, "alice").str("refresh_token")
	app(tenant, entratest.GenkanID, func(a *entratest.App) { a.Disabled = true })
	wantPage(t, get(t, tenant, authorizeURL(tenant)), 7000112)
	wantRefusal(t, post(t, tenant, tokenPath, refreshForm(refresh)), 400, "unauthorized_client", 7000112)
}

func TestCorrelationIDIsTheCallers(t *testing.T) {
	tenant := entratest.Start(t)
	const id = "c0ffee00-0000-4000-8000-000000000001"
	got := post(t, tenant, tokenPath, refreshForm("x"), "client-request-id", id)
	wantRefusal(t, got, 400, "invalid_grant", 70000)
	if got.str("correlation_id") != id || got.str("trace_id") == id {
		t.Errorf("correlation_id %q, trace_id %q", got.str("correlation_id"), got.str("trace_id"))
	}
}
