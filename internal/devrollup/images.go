package devrollup

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"regexp"
	"strings"
)

// imageName matches the names of the pictures that there are: any will do.
var imageName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,40}\.svg$`)

// serveImage draws the picture of that name: its first letter on a colour that
// follows from the name. Nothing comes from the internet.
func serveImage(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if !imageName.MatchString(name) {
		http.NotFound(w, r)
		return
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(name))
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "max-age=86400")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	//nolint:gosec // the name matched imageName: letters, digits and hyphens
	_, _ = fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96">`+
		`<rect width="96" height="96" fill="hsl(%d,50%%,38%%)"/>`+
		`<text x="48" y="66" font-family="sans-serif" font-size="52" fill="#fff" text-anchor="middle">%s</text></svg>`,
		hash.Sum32()%360, strings.ToUpper(name[:1]))
}

// imageURL is where the picture can be fetched.
func imageURL(origin, name string) string { return origin + "/images/" + name }
