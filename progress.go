package main

import (
	"fmt"
	"io"
	"strings"

	"galaxygate/internal/telemetry"
)

// barWidth is how many characters a full bar has.
const barWidth = 40

// progress shows how far work has come: a bar on a terminal, else a line for each
// tenth.
type progress struct {
	w        io.Writer
	what     string
	total    int
	terminal bool
	shown    int // on a terminal in values, else in tenths
}

func newProgress(w io.Writer, what string, total int) *progress {
	return &progress{w: w, what: what, total: total, terminal: telemetry.IsTerminal(w)}
}

// show says that so much is done. Others may add to the work meanwhile, so that
// more may be done than there was.
func (p *progress) show(done int) {
	if p.total == 0 {
		return
	}
	done = min(done, p.total)
	if p.terminal {
		p.shown = done
		full := barWidth * done / p.total
		_, _ = fmt.Fprintf(p.w, "\r[%s%s] %d of %d %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done, p.total, p.what)
		return
	}
	if tenths := 10 * done / p.total; tenths > p.shown {
		p.shown = tenths
		_, _ = fmt.Fprintf(p.w, "%d of %d %s\n", done, p.total, p.what)
	}
}

// end leaves the bar's line.
func (p *progress) end() {
	if p.terminal && p.shown > 0 {
		_, _ = fmt.Fprintln(p.w)
	}
}
