package persisted

import "github.com/maypok86/otter/v2"

// The bounds of what clients may make the gateway remember.
const (
	automaticBytes = 16 << 20
	automaticShare = automaticBytes / 16 // of one document
	// overhead is about what a document takes beside its text.
	overhead = 200
)

// Automatic remembers the documents of clients by their hash, within 16 MiB; the
// least used ones go first. It is safe for concurrent use.
type Automatic struct {
	maxBytes int
	texts    *otter.Cache[Hash, string]
}

// NewAutomatic returns an empty memory of documents that have at most that many
// bytes each; 0, and what is more, is 1 MiB.
func NewAutomatic(maxBytes int64) *Automatic {
	if maxBytes <= 0 || maxBytes > automaticShare {
		maxBytes = automaticShare
	}
	return &Automatic{
		maxBytes: int(maxBytes),
		texts: otter.Must(&otter.Options[Hash, string]{
			MaximumWeight: automaticBytes,
			Weigher:       func(_ Hash, text string) uint32 { return uint32(len(text) + overhead) }, //nolint:gosec // at most 1 MiB
		}),
	}
}

// Find returns the text with that hash.
func (a *Automatic) Find(hash Hash) (text string, ok bool) { return a.texts.GetIfPresent(hash) }

// Add remembers the text, and reports whether it is not too long for that. Whoever
// calls has made sure that it is worth it.
func (a *Automatic) Add(text string) bool {
	if len(text) > a.maxBytes {
		return false
	}
	a.texts.Set(HashOf(text), text)
	return true
}

// Bytes is about how much memory the documents take.
func (a *Automatic) Bytes() uint64 {
	a.texts.CleanUp() // of what has been put out
	return a.texts.WeightedSize()
}
