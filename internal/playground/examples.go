package playground

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// example is an operation that the page has ready to run.
type example struct {
	Title     string `json:"title"`
	Query     string `json:"query"`
	Variables string `json:"variables,omitempty"`
}

// loadExamples returns the documents of web/examples in the order of their names, each
// with the variables of the JSON file beside it, where there is one. A document's first
// line is its title, as a comment.
func loadExamples() ([]example, error) {
	names, err := fs.Glob(files, "web/examples/*.graphql")
	if err != nil {
		return nil, fmt.Errorf("list examples: %w", err)
	}
	examples := make([]example, 0, len(names))
	for _, name := range names {
		query, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read example: %w", err)
		}
		variables, err := files.ReadFile(strings.TrimSuffix(name, path.Ext(name)) + ".json")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read an example's variables: %w", err)
		}
		title, _, _ := strings.Cut(string(query), "\n")
		examples = append(examples, example{strings.TrimPrefix(title, "# "), string(query), string(variables)})
	}
	return examples, nil
}
