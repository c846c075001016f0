package httpserver

import (
	"net/http"

	"github.com/klauspost/compress/gzhttp"
)

// minCompressed is about what fits into one packet: less does not arrive sooner
// for being smaller.
const minCompressed = 1024

// compress sends text of some size compressed by gzip where the client takes it. A
// stream of events goes as it is, each when it is flushed.
//
// What is compressed can be guessed from its size, by who can put guesses beside
// it and see many sizes (BREACH). Here that yields nothing: what is secret in an answer,
// an app's token or code, a page's nonce, is another each time, and no foreign page
// can have answers made for a user at all (refuseForeign).
func compress(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(
		gzhttp.MinSize(minCompressed),
		gzhttp.EnableZstd(false), // takes megabytes for each answer under way
		gzhttp.SuffixETag("-gzip"),
		gzhttp.ContentTypes([]string{
			"application/json", "application/graphql-response+json", "text/html", "text/plain", "text/css", "text/javascript",
		}),
	)
	if err != nil {
		panic(err) // the options above are wrong
	}
	compressed := wrap(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			next.ServeHTTP(w, r) // it takes the connection over
			return
		}
		compressed(w, r)
	})
}
