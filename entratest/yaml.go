package entratest

import (
	"fmt"
	"io"

	"go.yaml.in/yaml/v4"
)

// Load reads a directory that is declared in YAML. Keys that it does not know are mistakes. What
// Microsoft's own applications are need not be said.
func Load(r io.Reader) (Directory, error) {
	var d Directory
	decoder := yaml.NewDecoder(r)
	decoder.KnownFields(true)
	if err := decoder.Decode(&d); err != nil {
		return Directory{}, fmt.Errorf("read the tenant's declaration: %w", err)
	}
	complete := d.clone()
	complete.addMicrosoft()
	complete.complete()
	if err := complete.check(); err != nil {
		return Directory{}, fmt.Errorf("read the tenant's declaration: %w", err)
	}
	return *complete, nil
}

// Write writes a directory as [Load] reads it, secrets included.
func (d Directory) Write(w io.Writer) error {
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(d); err != nil {
		return fmt.Errorf("write the tenant's declaration: %w", err)
	}
	return encoder.Close()
}

// addMicrosoft adds the applications of Microsoft that a declaration does not have itself.
func (d *Directory) addMicrosoft() {
	for _, a := range microsoftApps() {
		if d.client(a.ClientID) == nil {
			d.Apps = append(d.Apps, a)
		}
	}
}
