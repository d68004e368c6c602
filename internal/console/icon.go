package console

import "html/template"

// icon draws one of the few pictures of the console. They repeat what stands beside them, so screen readers skip them.
func icon(name string) template.HTML {
	shape, ok := map[string]string{
		"home":   `<path d="M3 9.5 10 4l7 5.5V17H3z"/><path d="M8 17v-5h4v5"/>`,
		"key":    `<circle cx="7" cy="12.5" r="3.5"/><path d="m9.5 10 7-7M13 6.500l2.500 2.500"/>`,
		"tool":   `<path d="M12.500 3.500a4 4 0 0 0-4 5.300L3.500 13.800a1.800 1.800 0 0 0 2.700 2.700l5-5a4 4 0 0 0 5.300-5l-2.600 2.600-2.400-.6-.6-2.400z"/>`,
		"chat":   `<path d="M3 4h14v9.500H9L5 17v-3.500H3z"/>`,
		"door":   `<path d="M5 17V3.500h8V17M3 17h14"/><path d="M10.500 10v1"/>`,
		"plug":   `<path d="M7 3v4M13 3v4M5 7h10v3a5 5 0 0 1-10 0zM10 15v3"/>`,
		"chart":  `<path d="M3 17h14"/><path d="M5.500 14v-4M10 14V5M14.500 14V8"/>`,
		"people": `<circle cx="7.500" cy="7" r="3"/><path d="M2 17c0-3.300 2.400-5 5.500-5s5.500 1.700 5.500 5M13 4.500a3 3 0 0 1 0 5M15 12.500c1.900.7 3 2.200 3 4.500"/>`,
		"list":   `<path d="M7 5h10M7 10h10M7 15h10M3.500 5h.01M3.500 10h.01M3.500 15h.01"/>`,
		"no":     `<circle cx="10" cy="10" r="7"/><path d="m5 5 10 10"/>`,
		"rule":   `<path d="M10 3v14M5 17h10M4 6h12M4 6l-2 5h4zM16 6l-2 5h4z"/>`,
		"out":    `<path d="M8 3.500H3.500v13H8M12 6l4 4-4 4M16 10H8"/>`,
		"copy":   `<rect x="7" y="7" width="10" height="10" rx="1.500"/><path d="M13 7V3H3v10h4"/>`,
		"check":  `<path d="m4 10.500 4 4 8-9"/>`,
		"cross":  `<path d="m5 5 10 10M15 5 5 15"/>`,
		"next":   `<path d="M4 10h12M11 5l5 5-5 5"/>`,
		"eye":    `<path d="M2 10s3-5.500 8-5.500 8 5.500 8 5.500-3 5.500-8 5.500S2 10 2 10z"/><circle cx="10" cy="10" r="2.300"/>`,
		"pen":    `<path d="m4 13.500 8.500-8.500 3 3L7 16.500l-4 1z"/>`,
	}[name]
	if !ok {
		return ""
	}
	return template.HTML(`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">` + shape + `</svg>`) //nolint:gosec // constants of this file
}
