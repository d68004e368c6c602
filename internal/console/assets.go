package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
)

//go:embed assets templates
var files embed.FS //nolint:gochecknoglobals // go:embed knows no other place

// assets are the scripts and the style sheet, by a name that changes with their content.
type assets struct {
	byName  map[string]assetFile
	address map[string]string // of the plain name
}

type assetFile struct {
	kind    string
	content []byte
}

func readAssets() (assets, error) {
	a := assets{byName: map[string]assetFile{}, address: map[string]string{}}
	entries, err := files.ReadDir("assets")
	if err != nil {
		return a, fmt.Errorf("read assets: %w", err)
	}
	shared := "console.js" // first: the other scripts import it by its address
	slices.SortStableFunc(entries, func(x, y fs.DirEntry) int { return rankOf(x.Name() == shared) - rankOf(y.Name() == shared) })
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
	for _, e := range entries {
		content, err := files.ReadFile("assets/" + e.Name())
		if err != nil {
			return a, fmt.Errorf("read asset: %w", err)
		}
		content = bytes.ReplaceAll(content, []byte(Root+"assets/"+shared), []byte(a.address[shared]))
		sum := sha256.Sum256(content)
		extension := path.Ext(e.Name())
		named := strings.TrimSuffix(e.Name(), extension) + "-" + hex.EncodeToString(sum[:6]) + extension
		a.byName[named] = assetFile{kind: kinds[extension], content: content}
		a.address[e.Name()] = Root + "assets/" + named
	}
	return a, nil
}

func rankOf(first bool) int { //nolint:revive // a comparison, not a mode
	if first {
		return 0
	}
	return 1
}

func (k *Console) asset(w http.ResponseWriter, r *http.Request) error {
	a, ok := k.assets.byName[r.PathValue("name")]
	if !ok {
		return k.nowhere(w, r)
	}
	h := w.Header()
	k.Pages.Secure(h)
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(a.content)
	return nil
}
