package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/joho/godotenv"
)

// Environment is where values come from: the process's environment, then a
// .env file.
type Environment struct {
	// Variables are the process's environment, DotEnv what a .env file holds.
	Variables map[string]string
	DotEnv    map[string]string
	// ReadFile reads the file that a NAME_FILE variable names.
	ReadFile func(name string) ([]byte, error)
}

const (
	// fromEnvironment is the origin of a value of the process's environment.
	fromEnvironment = "environment"
	// fileOrigin begins the origin of a value that a file holds.
	fileOrigin = "file "
)

// System returns the process's environment, with the .env file of the working
// directory where there is one.
func System() (*Environment, error) {
	env := &Environment{Variables: make(map[string]string), ReadFile: os.ReadFile}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		env.Variables[name] = value
	}
	file, err := os.Open(".env")
	if errors.Is(err, fs.ErrNotExist) {
		return env, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open .env: %w", err)
	}
	defer file.Close()
	if env.DotEnv, err = godotenv.Parse(file); err != nil {
		return nil, errors.New("read .env: it is not made of NAME=value lines") // the parser's error quotes the line
	}
	return env, nil
}

// names reports whether the variable, or its _FILE, is there at all, even empty.
func (e *Environment) names(name string) bool {
	for _, values := range []map[string]string{e.Variables, e.DotEnv} {
		for _, n := range []string{name, name + "_FILE"} {
			if _, ok := values[n]; ok {
				return true
			}
		}
	}
	return false
}

// value returns the variable's value and its origin; both are empty where it is
// unset or empty. A variable may instead be given as NAME_FILE, the name of a
// file that holds it.
func (e *Environment) value(name string) (value, origin string, _ error) {
	value, origin = e.raw(name)
	file, named := e.raw(name + "_FILE")
	switch {
	case file == "":
		return value, origin, nil
	case value != "" && origin == named:
		return "", "", fmt.Errorf("%s: set either it or %s_FILE, not both", name, name)
	case value != "" && origin == fromEnvironment:
		return value, origin, nil // a .env's _FILE gives way
	}
	content, err := e.ReadFile(file)
	if err != nil {
		return "", "", fmt.Errorf("%s_FILE: %w", name, err)
	}
	return strings.TrimRight(string(content), "\r\n"), fileOrigin + file, nil
}

// export puts the named variables that are given elsewhere, and those of a .env
// file that begin with the prefix, into the process's environment: for libraries
// that read it themselves.
func (e *Environment) export(prefix string, names ...string) error {
	for name := range e.DotEnv {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		value, origin, err := e.value(name)
		if err != nil {
			return err
		}
		if value == "" || origin == fromEnvironment {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (e *Environment) raw(name string) (value, origin string) {
	if v := e.Variables[name]; v != "" {
		return v, fromEnvironment
	}
	if v := e.DotEnv[name]; v != "" {
		return v, ".env"
	}
	return "", ""
}
