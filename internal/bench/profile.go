package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// profile takes a CPU profile of the gateway under load, and writes it and what
// `go tool pprof` says of it into the directory.
func (w *world) profile(ctx context.Context, dir, name string, long time.Duration) error {
	l, err := connect(ctx, w.viaGateway)
	if err != nil {
		return err
	}
	defer l.close()
	ended := make(chan error, 1)
	go func() {
		_, _, err := l.run(long + time.Second) // longer than the profile
		ended <- err
	}()
	profile, err := fetch(ctx, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", w.gateway.admin, int(long.Seconds())))
	if failed := <-ended; failed != nil {
		return fmt.Errorf("under load: %w", failed)
	}
	if err != nil {
		return fmt.Errorf("take a profile: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	file := filepath.Join(dir, name+".pprof")
	if err := os.WriteFile(file, profile, 0o600); err != nil {
		return err
	}
	for suffix, order := range map[string]string{"flat": "-flat", "cum": "-cum"} {
		text, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", order, "-nodecount=200", file).Output()
		if err != nil {
			return fmt.Errorf("read the profile: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+"."+suffix+".txt"), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
