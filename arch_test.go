// Package genkan holds only this: the rules of the repository, as tests.
package genkan_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/genkan-mcp/genkan"

// floors says on which floor a package lives; a child lives with its nearest listed parent. A package that
// is not listed has no home: give it one, and a line in ARCHITECTURE.md.
func floors() map[string]int {
	return map[string]int{
		"policy": 1, "internal/oauth": 1, "internal/secret": 1, "internal/mcpwire": 1, "internal/page": 1,
		"entra": 2, "entratest": 2, "internal/idp": 2, "internal/store": 2, "internal/audit": 2,
		"internal/upstream": 2, "internal/config": 2, "internal/telemetry": 2,
		"guard": 3, "internal/grant": 3,
		"internal/authserver": 4, "internal/gateway": 4, "internal/console": 4, "internal/bridge": 4,
		"internal/samples": 4,
		"internal/app":     5,
		"cmd/genkan":       6, "internal/story": 6, "examples": 6,
	}
}

// allowed are the arrows between neighbours that the design names, each with its reason.
func allowed() map[string]string {
	return map[string]string{
		"internal/idp/entraid -> entra": "Entra as an identity provider is entra behind idp's interface",
	}
}

// sourcePackage is one folder with Go files, and what its files that are not tests import of ours.
type sourcePackage struct {
	path    string
	imports map[string]string // import -> file
	files   []*ast.File
}

func TestEveryPackageLivesOnAFloor(t *testing.T) {
	for _, p := range packages(t) {
		if _, _, ok := home(p.path); !ok {
			t.Errorf("%s has no floor: give it one in floors() and in ARCHITECTURE.md", p.path)
		}
	}
}

func TestImportsPointDownwards(t *testing.T) {
	exceptions := allowed()
	for _, p := range packages(t) {
		_, from, _ := home(p.path)
		for imp, file := range p.imports {
			_, to, ok := home(imp)
			if !ok || isParent(imp, p.path) || to < from {
				continue
			}
			arrow := p.path + " -> " + imp
			if _, ok := exceptions[arrow]; ok {
				continue
			}
			t.Errorf("%s imports %s: floor %d may not import floor %d (only lower floors, or a parent)", file, imp, from, to)
		}
	}
}

// The dev tenant must share no misconception with the product, and the product must not carry it into production.
func TestEntratestStandsAlone(t *testing.T) {
	users := map[string]bool{"internal/app": true, "cmd/genkan": true, "internal/story": true}
	for _, p := range packages(t) {
		for imp, file := range p.imports {
			if inside(p.path, "entratest") && !inside(imp, "entratest") {
				t.Errorf("%s: entratest imports %s, and must import nothing of ours", file, imp)
			}
			if inside(imp, "entratest") && !inside(p.path, "entratest") && !users[p.path] {
				t.Errorf("%s imports %s: only tests, app and cmd/genkan may", file, imp)
			}
		}
	}
}

func TestPublicPackagesDoNotShowInternalOnes(t *testing.T) {
	for _, p := range packages(t) {
		if !inside(p.path, "policy") && !inside(p.path, "entratest") && !inside(p.path, "entra") {
			continue
		}
		for imp, file := range p.imports {
			if strings.HasPrefix(imp, "internal/") {
				t.Errorf("%s: the public package %s imports %s", file, p.path, imp)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		documented := false
		for _, f := range p.files {
			documented = documented || f.Doc != nil
		}
		if !documented {
			t.Errorf("%s has no package comment", p.path)
		}
	}
}

func home(path string) (floor string, level int, ok bool) {
	table := floors()
	for dir := path; dir != "."; dir = filepath.Dir(dir) {
		if level, ok := table[dir]; ok {
			return dir, level, true
		}
	}
	return "", 0, false
}

func isParent(parent, child string) bool { return strings.HasPrefix(child, parent+"/") }

func inside(path, dir string) bool { return path == dir || isParent(dir, path) }

func packages(t *testing.T) []*sourcePackage {
	t.Helper()
	found := map[string]*sourcePackage{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			if path != "." && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		return addFile(found, path)
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []*sourcePackage
	for _, p := range found {
		all = append(all, p)
	}
	return all
}

func addFile(found map[string]*sourcePackage, path string) error {
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return err
	}
	dir := filepath.ToSlash(filepath.Dir(path))
	p, ok := found[dir]
	if !ok {
		p = &sourcePackage{path: dir, imports: map[string]string{}}
		found[dir] = p
	}
	p.files = append(p.files, file)
	for _, spec := range file.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if rest, ok := strings.CutPrefix(imp, module+"/"); ok {
			p.imports[rest] = path
		}
	}
	return nil
}

// docs/threat-model.md says which test performs which threat. A threat without a test is not met, and a test that is gone
// must not be claimed.
func TestTheThreatModelIsHeld(t *testing.T) {
	model, err := os.ReadFile("docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := threatTests(t)
	for number := 1; number <= 37; number++ {
		prefix := fmt.Sprintf("| %02d | ", number)
		_, row, found := strings.Cut(string(model), prefix)
		if !found {
			t.Errorf("the threat model has no row %s", prefix)
			continue
		}
		row, _, _ = strings.Cut(row, "\n")
		cells := strings.Split(row, " | ")
		named := 0
		for _, word := range regexp.MustCompile(`[A-Z][A-Za-z0-9_]{7,}`).FindAllString(cells[len(cells)-1], -1) {
			named++
			if !tests[fmt.Sprintf("TestThreat%02d_%s", number, word)] {
				t.Errorf("threat %d: there is no TestThreat%02d_%s", number, number, word)
			}
		}
		if named == 0 {
			t.Errorf("threat %d names no test", number)
		}
	}
}

// threatTests are the names of all tests that perform a threat.
func threatTests(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	pattern := regexp.MustCompile(`(?m)^func (TestThreat[0-9]{2}_[A-Za-z0-9_]+)\(`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "node_modules" {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		for _, m := range pattern.FindAllStringSubmatch(string(source), -1) {
			names[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
