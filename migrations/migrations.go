package migrations

import (
	"embed"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

//go:embed *.sql
var sources embed.FS

// Types are the names of the two column types that differ between databases.
type Types struct {
	Time  string // stands for {{.Time}}
	Bytes string // stands for {{.Bytes}}
}

// Files returns the migrations with the types filled in.
func Files(t Types) fs.FS {
	return filled{sources, strings.NewReplacer("{{.Time}}", t.Time, "{{.Bytes}}", t.Bytes)}
}

type filled struct {
	embed.FS
	types *strings.Replacer
}

// Open implements fs.FS.
func (f filled) Open(name string) (fs.File, error) {
	source, err := f.FS.Open(name)
	if err != nil || name == "." {
		return source, err
	}
	text, err := io.ReadAll(source)
	if err != nil {
		return nil, fmt.Errorf("read migration %s: %w", name, err)
	}
	return file{source, strings.NewReader(f.types.Replace(string(text)))}, nil
}

// ReadFile implements fs.ReadFileFS.
func (f filled) ReadFile(name string) ([]byte, error) {
	text, err := f.FS.ReadFile(name)
	return []byte(f.types.Replace(string(text))), err
}

type file struct {
	fs.File
	text io.Reader
}

// Read implements fs.File.
func (f file) Read(p []byte) (int, error) { return f.text.Read(p) }
