package page

// Style is the address of the style sheet, for rooms that have a layout of their own.
func (p *Pages) Style() string { return p.style }

// Logo is the address of the logo, for rooms that have a layout of their own.
func (p *Pages) Logo() string { return p.logo }

// Place is the host that people should see in their address bar.
func (p *Pages) Place() string { return p.config.Place }
