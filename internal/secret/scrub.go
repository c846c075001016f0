package secret

import (
	"regexp"
	"strings"
	"unicode"
)

// tokenLike matches JSON Web Tokens and any run of 24 or more characters that a
// token may consist of. It masks too much rather than too little.
var tokenLike = regexp.MustCompile(`[\w-]{6,}\.[\w-]{6,}\.[\w-]*|[\w+/=~-]{24,}`)

// maxScrubbed is the length, in runes, to which Scrub cuts its text.
const maxScrubbed = 300

// Scrub returns text that came from outside, fit to be shown or logged: the
// known secrets and whatever looks like a token are masked, control characters
// become spaces, and it is cut to 300 runes.
func Scrub(text string, known ...Text) string {
	for _, k := range known {
		if !k.IsZero() {
			text = strings.ReplaceAll(text, k.Reveal(), mask)
		}
	}
	text = tokenLike.ReplaceAllString(text, mask)
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > maxScrubbed {
		text = string(runes[:maxScrubbed]) + "…"
	}
	return strings.TrimSpace(text)
}
