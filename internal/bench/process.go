package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopLimit is how long a process may take to end before it is killed.
const stopLimit = 15 * time.Second

// The roles of this command beside measuring.
const (
	stubRole  = "stub"
	proxyRole = "proxy"
)

// serve serves what build returns for the address, on a free port, until ctx ends.
// It says the address on a line of its own.
func serve(ctx context.Context, stdout io.Writer, build func(url string) (http.Handler, error)) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	url := "http://" + listener.Addr().String()
	handler, err := build(url)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(stdout, url); err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); ctx.Err() == nil {
		return err
	}
	return nil
}

// process is one that was started.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once it has ended
	err  error         // why, once it has
}

// start starts the command, apart from the terminal's signals and no longer than
// this process lives.
func start(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = apart()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// role starts this command in another role and returns its address.
func role(ctx context.Context, self string, args ...string) (*process, string, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer read.Close()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self, args...)
	cmd.Stdout, cmd.Stderr = write, os.Stderr
	p, err := start(cmd)
	_ = write.Close()
	if err != nil {
		return nil, "", fmt.Errorf("start the %s: %w", args[0], err)
	}
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, "", fmt.Errorf("the %s does not serve: %w", args[0], err)
	}
	return p, strings.TrimSpace(line), nil
}

// stop ends the process as an operator does, and waits for its end.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopLimit):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// tick is the unit of a process's times in /proc: USER_HZ is 100 on every
// architecture that Go knows.
const tick = 10 * time.Millisecond

// cpu is how much the process has computed, in user mode and for the system.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(p.file("stat"))
	if err != nil {
		return 0, err
	}
	// The second field is the name in parentheses, and may hold anything.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	const user, system = 14 - 3, 15 - 3
	if len(fields) <= system {
		return 0, fmt.Errorf("%s: %q", p.file("stat"), stat)
	}
	var ticks int64
	for _, field := range []string{fields[user], fields[system]} {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p.file("stat"), err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// memory is what a process has resident.
type memory struct{ peak, now int } // in KiB

func (p *process) memory() (m memory, err error) {
	status, err := os.ReadFile(p.file("status"))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(status)) {
		if n, err := fmt.Sscanf(line, "VmHWM: %d kB", &m.peak); err == nil && n == 1 {
			continue
		}
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &m.now) // another line
	}
	return m, nil
}

func (p *process) file(name string) string {
	return "/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/" + name
}
