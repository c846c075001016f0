package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run plays the role that the arguments name, or measures.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 2 && args[0] == stubRole {
		return serveStub(ctx, args[1:], stdout)
	}
	if len(args) == 2 && args[0] == proxyRole {
		return serveProxy(ctx, args[1:], stdout)
	}
	b := &bench{out: stdout}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", "", "names of scenarios, separated by commas; all where there are none")
	report := flags.String("report", "", "the file whose table is replaced")
	flags.StringVar(&b.binary, "binary", "", "the gateway to measure; built where there is none")
	flags.StringVar(&b.log, "log", os.DevNull, "where the gateway logs to")
	flags.IntVar(&b.rounds, "rounds", 3, "rounds of each scenario")
	flags.DurationVar(&b.long, "round", 5*time.Second, "how long a round is")
	flags.StringVar(&b.profiles, "profile", "", "the directory for CPU profiles of the gateway; none are taken without one")
	flags.DurationVar(&b.profileLong, "profile-time", 10*time.Second, "how long a profile is taken")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if b.rounds < 1 || b.long <= 0 {
		return errors.New("there must be a round, and it must take time")
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if *report != "" {
		if _, _, err := readReport(*report); err != nil { // before minutes are spent on it
			return err
		}
	}
	return b.run(ctx, chosen, *report)
}

// run measures the scenarios, and writes the table.
func (b *bench) run(ctx context.Context, chosen []scenario, report string) (err error) {
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "galaxygate-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.binary == "" {
		b.binary, err = build(ctx, b.dir)
	} else {
		b.binary, err = filepath.Abs(b.binary) // it is started elsewhere
	}
	if err != nil {
		return err
	}
	var results []result
	for _, s := range chosen {
		r, err := b.measure(ctx, s)
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: %w", ctx.Err())
		}
		if err != nil {
			return fmt.Errorf("scenario %s: %w", s.name, err)
		}
		results = append(results, r)
	}
	table := b.table(ctx, results)
	if _, err := fmt.Fprint(b.out, "\n", table); err != nil || report == "" {
		return err
	}
	return writeReport(report, table)
}
